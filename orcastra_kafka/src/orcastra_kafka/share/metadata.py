"""Metadata v12 (aiokafka stops before topic ids) and FindCoordinator v3, as values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import attrs

from orcastra_kafka.share.messages import Node, Partition
from orcastra_kafka.share.private import Boolean, CompactArray, Int8, Int16, Int32
from orcastra_kafka.share.wire import NO_ID, NO_TAGS, TEXT, Request, Uuid, array

GROUP = 0
"""The kind of coordinator that groups have, share groups included."""


@attrs.frozen
class TopicFacts:
    """Attributes: an ``error`` (3: there is none), its name and id, and the leader of each partition, -1 for none."""

    error: int
    name: str
    id: bytes
    leaders: Sequence[int]
    replicas: int


@attrs.frozen
class ClusterFacts:
    """Attributes: the brokers by id, who the controller is, and the topics asked for, by name."""

    nodes: Mapping[int, Node]
    controller: int
    topics: Mapping[str, TopicFacts]


@attrs.frozen
class Metadata(Request[ClusterFacts]):
    """Ask for topics by name; None: for all of them, (): for none. Never creates one."""

    key = 3
    version = 12
    layout = (("topics", array(("topic_id", Uuid), ("name", TEXT))), ("create", Boolean), ("operations", Boolean))
    answer = (
        ("throttle", Int32),
        ("brokers", array(("id", Int32), ("host", TEXT), ("port", Int32), ("rack", TEXT))),
        ("cluster", TEXT),
        ("controller", Int32),
        (
            "topics",
            array(
                ("error", Int16),
                ("name", TEXT),
                ("topic_id", Uuid),
                ("internal", Boolean),
                (
                    "partitions",
                    array(
                        ("error", Int16),
                        ("index", Int32),
                        ("leader", Int32),
                        ("epoch", Int32),
                        ("replicas", CompactArray(Int32)),
                        ("isr", CompactArray(Int32)),
                        ("offline", CompactArray(Int32)),
                    ),
                ),
                ("operations", Int32),
            ),
        ),
    )

    topics: Sequence[str] | None

    def fields(self) -> tuple[Any, ...]:
        rows = None if self.topics is None else [(NO_ID, name, NO_TAGS) for name in self.topics]
        return rows, False, False

    @classmethod
    def read(cls, said: Any) -> ClusterFacts:
        nodes = {row[0]: Node(row[0], row[1], row[2]) for row in said.brokers}
        topics = {}
        for error, name, topic_id, _, partitions, *_ in said.topics:
            leaders = [row[2] for row in sorted(partitions, key=lambda row: row[1])]
            replicas = min((len(row[4]) for row in partitions), default=0)
            topics[name] = TopicFacts(error, name, topic_id, leaders, replicas)
        return ClusterFacts(nodes, said.controller, topics)


@attrs.frozen
class Coordinator:
    """Attributes: an ``error``, its message, and where the coordinator is."""

    error: int
    message: str | None
    node: Node


@attrs.frozen
class FindCoordinator(Request[Coordinator]):
    """Ask who coordinates a group."""

    key = 10
    version = 3
    layout = (("name", TEXT), ("kind", Int8))
    answer = (
        ("throttle", Int32),
        ("error", Int16),
        ("message", TEXT),
        ("node", Int32),
        ("host", TEXT),
        ("port", Int32),
    )

    name: str
    kind: int = GROUP

    def fields(self) -> tuple[Any, ...]:
        return self.name, self.kind

    @classmethod
    def read(cls, said: Any) -> Coordinator:
        return Coordinator(said.error, said.message, Node(said.node, said.host, said.port))


def partitions_of(facts: TopicFacts) -> Sequence[Partition]:
    """Return the partitions of a topic."""
    return [(facts.id, number) for number in range(len(facts.leaders))]
