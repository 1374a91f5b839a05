"""What is set for a share group, and how far it has come: IncrementalAlterConfigs v1, DescribeShareGroupOffsets v1."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import attrs

from orcastra_kafka.share.private import Boolean, CompactArray, Int8, Int16, Int32, Int64
from orcastra_kafka.share.wire import NO_TAGS, TEXT, Request, Uuid, array

GROUP_RESOURCE = 32
"""The kind of resource that a group is."""
_SET = 0


@attrs.frozen
class Refusal:
    """Attributes: an ``error`` (0: none), and what was said about it."""

    error: int
    message: str | None


class AlterConfigs(Request[Refusal]):
    """Set configs of one resource, by name; others stay. Subclasses say of which."""

    key = 44
    version = 1
    layout = (
        (
            "resources",
            array(
                ("type", Int8), ("name", TEXT), ("configs", array(("name", TEXT), ("operation", Int8), ("value", TEXT)))
            ),
        ),
        ("validate", Boolean),
    )
    answer = (
        ("throttle", Int32),
        ("responses", array(("error", Int16), ("message", TEXT), ("type", Int8), ("name", TEXT))),
    )

    @staticmethod
    def row(kind: int, name: str, configs: Mapping[str, str]) -> tuple[Any, ...]:
        """Return the fields for a resource of a kind and name."""
        return [(kind, name, [(key, _SET, value, NO_TAGS) for key, value in configs.items()], NO_TAGS)], False

    @classmethod
    def read(cls, said: Any) -> Refusal:
        row = said.responses[0]
        return Refusal(row[0], row[1])


@attrs.frozen
class AlterGroupConfig(AlterConfigs):
    """Set configs of a group, by name; others stay."""

    group: str
    configs: Mapping[str, str]

    def fields(self) -> tuple[Any, ...]:
        return self.row(GROUP_RESOURCE, self.group, self.configs)


@attrs.frozen
class Progress:
    """How far a group has come in a partition.

    Attributes:
        start: Everything before this offset is done with; -1 before the group's first fetch.
        lag: Records neither acknowledged nor archived, those in flight included; -1: not known yet.
    """

    start: int
    lag: int
    error: int


@attrs.frozen
class ShareProgress:
    """Attributes: an ``error`` of the group, and by topic the progress in each partition by its number."""

    error: int
    message: str | None
    topics: Mapping[str, Mapping[int, Progress]]


@attrs.frozen
class DescribeShareOffsets(Request[ShareProgress]):
    """Ask how far a group has come; its coordinator answers. ``topics`` None: in all that it ever read."""

    key = 90
    version = 1
    layout = (
        ("groups", array(("group", TEXT), ("topics", array(("topic", TEXT), ("partitions", CompactArray(Int32)))))),
    )
    answer = (
        ("throttle", Int32),
        (
            "groups",
            array(
                ("group", TEXT),
                (
                    "topics",
                    array(
                        ("topic", TEXT),
                        ("topic_id", Uuid),
                        (
                            "partitions",
                            array(
                                ("index", Int32),
                                ("start", Int64),
                                ("epoch", Int32),
                                ("lag", Int64),
                                ("error", Int16),
                                ("message", TEXT),
                            ),
                        ),
                    ),
                ),
                ("error", Int16),
                ("message", TEXT),
            ),
        ),
    )

    group: str
    topics: Mapping[str, Sequence[int]] | None = None

    def fields(self) -> tuple[Any, ...]:
        topics = None
        if self.topics is not None:
            topics = [(name, list(numbers), NO_TAGS) for name, numbers in self.topics.items()]
        return ([(self.group, topics, NO_TAGS)],)

    @classmethod
    def read(cls, said: Any) -> ShareProgress:
        _, topics, error, message, _ = said.groups[0]
        return ShareProgress(
            error,
            message,
            {
                name: {row[0]: Progress(row[1], row[3], row[4]) for row in partitions}
                for name, _, partitions, _ in topics
            },
        )
