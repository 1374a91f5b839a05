"""The messages that the classic lane needs in a newer version than aiokafka speaks."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import attrs
from aiokafka.structs import OffsetAndMetadata, TopicPartition

from orcastra_kafka.share.private import Boolean, CompactArray, Int16, Int32, Int64
from orcastra_kafka.share.wire import NO_TAGS, TEXT, Request, array


@attrs.frozen
class Membership:
    """Who commits: a coordinator refuses whom the group has gone on without.

    Attributes:
        generation: Of the group's last agreement that the member was part of.
        member: Its id in the group.
    """

    generation: int
    member: str


@attrs.frozen
class TxnOffsetCommit(Request[Sequence[tuple[str, int, int]]]):
    """Commit offsets within a transaction, as a member. Version 3 is the first to say who asks.

    Its answer has the error code of each topic and partition.
    """

    key = 28
    version = 3
    layout = (
        ("transactional_id", TEXT),
        ("group", TEXT),
        ("producer_id", Int64),
        ("producer_epoch", Int16),
        ("generation", Int32),
        ("member", TEXT),
        ("instance", TEXT),
        (
            "topics",
            array(
                ("topic", TEXT),
                (
                    "partitions",
                    array(("partition", Int32), ("offset", Int64), ("leader_epoch", Int32), ("metadata", TEXT)),
                ),
            ),
        ),
    )
    answer = (
        ("throttle_ms", Int32),
        ("topics", array(("topic", TEXT), ("partitions", array(("partition", Int32), ("error", Int16))))),
    )

    transactional_id: str
    group: str
    producer_id: int
    producer_epoch: int
    who: Membership
    offsets: Mapping[TopicPartition, OffsetAndMetadata]

    def fields(self) -> tuple[Any, ...]:
        topics: dict[str, list[tuple[Any, ...]]] = {}
        for place, one in sorted(self.offsets.items()):
            topics.setdefault(place.topic, []).append((place.partition, one.offset, -1, one.metadata, NO_TAGS))
        return (
            self.transactional_id,
            self.group,
            self.producer_id,
            self.producer_epoch,
            self.who.generation,
            self.who.member,
            None,
            [(topic, partitions, NO_TAGS) for topic, partitions in topics.items()],
        )

    @classmethod
    def read(cls, said: Any) -> Sequence[tuple[str, int, int]]:
        return [(topic, one[0], one[1]) for topic, partitions, _ in said.topics for one in partitions]


@attrs.frozen
class OffsetFetch(Request[tuple[int, Mapping[TopicPartition, tuple[int, str]]]]):
    """Ask what a group committed last. Version 7 is the first that does not answer while a transaction may still change it.

    Its answer has an error code, and the offset and metadata of each partition; -1 where nothing was committed.
    """

    key = 9
    version = 7
    layout = (
        ("group", TEXT),
        ("topics", array(("topic", TEXT), ("partitions", CompactArray(Int32)))),
        ("stable", Boolean),
    )
    answer = (
        ("throttle_ms", Int32),
        (
            "topics",
            array(
                ("topic", TEXT),
                (
                    "partitions",
                    array(
                        ("partition", Int32),
                        ("offset", Int64),
                        ("leader_epoch", Int32),
                        ("metadata", TEXT),
                        ("error", Int16),
                    ),
                ),
            ),
        ),
        ("error", Int16),
    )

    group: str
    places: Collection[TopicPartition]

    def fields(self) -> tuple[Any, ...]:
        topics: dict[str, list[int]] = {}
        for place in sorted(self.places):
            topics.setdefault(place.topic, []).append(place.partition)
        return self.group, [(topic, partitions, NO_TAGS) for topic, partitions in topics.items()], True

    @classmethod
    def read(cls, said: Any) -> tuple[int, Mapping[TopicPartition, tuple[int, str]]]:
        error, found = said.error, {}
        for topic, partitions, _ in said.topics:
            for partition, offset, _, metadata, failed, _ in partitions:
                error = error or failed
                found[TopicPartition(topic, partition)] = offset, metadata or ""
        return error, found
