"""ShareGroupHeartbeat v1, ShareFetch v2 and ShareAcknowledge v2, as values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import attrs

from orcastra_kafka.share.private import Boolean, CompactArray, CompactBytes, Int8, Int16, Int32, Int64, Schema
from orcastra_kafka.share.wire import NO_TAGS, TAGS, TEXT, NullableStruct, Request, Uuid, array

Partition: TypeAlias = tuple[bytes, int]
"""A topic's id and a partition's number."""

AckRows: TypeAlias = Sequence[tuple[int, int, Sequence[int]]]
"""First offset, last offset, and the type of each, or one type for them all."""

_PARTITIONS = array(("topic_id", Uuid), ("partitions", CompactArray(Int32)))
_ACKS = array(
    ("topic_id", Uuid),
    (
        "partitions",
        array(("index", Int32), ("rows", array(("first", Int64), ("last", Int64), ("types", CompactArray(Int8))))),
    ),
)
_LEADER = Schema(("id", Int32), ("epoch", Int32), TAGS)
_NODES = array(("id", Int32), ("host", TEXT), ("port", Int32), ("rack", TEXT))


def by_topic(rows: Mapping[Partition, Any]) -> dict[bytes, dict[int, Any]]:
    """Return what is kept by partition, by topic and number."""
    topics: dict[bytes, dict[int, Any]] = {}
    for (topic, number), value in rows.items():
        topics.setdefault(topic, {})[number] = value
    return topics


def _acks(acks: Mapping[Partition, AckRows]) -> list[Any]:
    return [
        (
            topic,
            [
                (number, [(first, last, list(types), NO_TAGS) for first, last, types in rows], NO_TAGS)
                for number, rows in partitions.items()
            ],
            NO_TAGS,
        )
        for topic, partitions in by_topic(acks).items()
    ]


@attrs.frozen
class Node:
    """Where a broker listens."""

    id: int
    host: str
    port: int


@attrs.frozen
class Heartbeat:
    """Attributes: ``error`` and ``message``; the member's new ``epoch``; ``interval`` in seconds; and the
    partitions assigned, None if they are those of the last answer."""

    error: int
    message: str | None
    epoch: int
    interval: float
    assignment: frozenset[Partition] | None


@attrs.frozen
class ShareGroupHeartbeat(Request[Heartbeat]):
    """Join (epoch 0), stay in, or leave (epoch -1) a share group."""

    key = 76
    version = 1
    layout = (("group", TEXT), ("member", TEXT), ("epoch", Int32), ("rack", TEXT), ("topics", CompactArray(TEXT)))
    answer = (
        ("throttle", Int32),
        ("error", Int16),
        ("message", TEXT),
        ("member", TEXT),
        ("epoch", Int32),
        ("interval", Int32),
        ("assignment", NullableStruct(("topics", _PARTITIONS), TAGS)),
    )

    group: str
    member: str
    epoch: int
    topics: Sequence[str] | None = None
    rack: str | None = None

    def fields(self) -> tuple[Any, ...]:
        topics = None if self.topics is None else list(self.topics)
        return self.group, self.member, self.epoch, self.rack, topics

    @classmethod
    def read(cls, said: Any) -> Heartbeat:
        assigned = None
        if said.assignment is not None:
            assigned = frozenset((topic, number) for topic, numbers, _ in said.assignment[0] for number in numbers)
        return Heartbeat(said.error, said.message, said.epoch, said.interval / 1000, assigned)


@attrs.frozen
class Fetched:
    """What one partition answered a fetch.

    Attributes:
        error: Of the fetch.
        ack_error: Of the acknowledgements that rode on it.
        leader: Who leads it, where the error says that it moved; -1: not known.
        records: Record batches.
        acquired: First offset, last offset and delivery count of what was handed over.
    """

    error: int
    message: str | None
    ack_error: int
    ack_message: str | None
    leader: int
    records: bytes | None
    acquired: Sequence[tuple[int, int, int]]


@attrs.frozen
class ShareFetched:
    """Attributes: an ``error`` of the whole; ``lock``: seconds that what was acquired stays ours; ``partitions``; and
    the ``nodes`` that lead what has moved."""

    error: int
    message: str | None
    lock: float
    partitions: Mapping[Partition, Fetched]
    nodes: Sequence[Node]


@attrs.frozen(kw_only=True)
class ShareFetch(Request[ShareFetched]):
    """Fetch from what the share session holds plus ``add`` minus ``forget``; acknowledge on the way.

    Attributes:
        epoch: 0 opens the session, -1 closes it, else one more with each request.
        wait: Seconds the broker may keep it, if there is nothing.
        max_records: At most so many; exact with ``exact``, else whole batches of the producer's.
        acks: What to acknowledge, by partition. It adds its partitions to the session.
        renews: Whether there are renewals in ``acks``: the limits must be 0 then.
    """

    key = 78
    version = 2
    layout = (
        ("group", TEXT),
        ("member", TEXT),
        ("epoch", Int32),
        ("max_wait", Int32),
        ("min_bytes", Int32),
        ("max_bytes", Int32),
        ("max_records", Int32),
        ("batch_size", Int32),
        ("mode", Int8),
        ("renews", Boolean),
        ("topics", _ACKS),
        ("forget", _PARTITIONS),
    )
    answer = (
        ("throttle", Int32),
        ("error", Int16),
        ("message", TEXT),
        ("lock", Int32),
        (
            "topics",
            array(
                ("topic_id", Uuid),
                (
                    "partitions",
                    array(
                        ("index", Int32),
                        ("error", Int16),
                        ("message", TEXT),
                        ("ack_error", Int16),
                        ("ack_message", TEXT),
                        ("leader", _LEADER),
                        ("records", CompactBytes),
                        ("acquired", array(("first", Int64), ("last", Int64), ("count", Int16))),
                    ),
                ),
            ),
        ),
        ("nodes", _NODES),
    )

    group: str
    member: str
    epoch: int
    wait: float = 0.0
    min_bytes: int = 1
    max_bytes: int = 0x7FFFFFFF
    max_records: int = 500
    batch_size: int = 500
    exact: bool = True
    renews: bool = False
    acks: Mapping[Partition, AckRows] = attrs.field(factory=dict)
    add: frozenset[Partition] = frozenset()
    forget: frozenset[Partition] = frozenset()

    def fields(self) -> tuple[Any, ...]:
        named: dict[Partition, AckRows] = {**dict.fromkeys(sorted(self.add), ()), **self.acks}
        forget: dict[bytes, list[int]] = {}
        for topic, number in sorted(self.forget):
            forget.setdefault(topic, []).append(number)
        return (
            self.group,
            self.member,
            self.epoch,
            round(self.wait * 1000),
            self.min_bytes,
            self.max_bytes,
            self.max_records,
            self.batch_size,
            int(self.exact),
            self.renews,
            _acks(named),
            [(topic, numbers, NO_TAGS) for topic, numbers in forget.items()],
        )

    @classmethod
    def read(cls, said: Any) -> ShareFetched:
        partitions = {
            (topic, index): Fetched(
                error, message, ack_error, ack_message, leader[0], records, [row[:3] for row in acquired]
            )
            for topic, rows, _ in said.topics
            for index, error, message, ack_error, ack_message, leader, records, acquired, _ in rows
        }
        return ShareFetched(said.error, said.message, said.lock / 1000, partitions, _nodes(said.nodes))


@attrs.frozen
class Acknowledged:
    """Attributes: an ``error`` of the whole; by partition its own error and message; and the ``nodes`` that lead what
    has moved."""

    error: int
    message: str | None
    partitions: Mapping[Partition, tuple[int, str | None]]
    nodes: Sequence[Node]


@attrs.frozen(kw_only=True)
class ShareAcknowledge(Request[Acknowledged]):
    """Acknowledge without fetching. Attributes: as of ``ShareFetch``."""

    key = 79
    version = 2
    layout = (("group", TEXT), ("member", TEXT), ("epoch", Int32), ("renews", Boolean), ("topics", _ACKS))
    answer = (
        ("throttle", Int32),
        ("error", Int16),
        ("message", TEXT),
        ("lock", Int32),
        (
            "topics",
            array(
                ("topic_id", Uuid),
                ("partitions", array(("index", Int32), ("error", Int16), ("message", TEXT), ("leader", _LEADER))),
            ),
        ),
        ("nodes", _NODES),
    )

    group: str
    member: str
    epoch: int
    renews: bool = False
    acks: Mapping[Partition, AckRows] = attrs.field(factory=dict)

    def fields(self) -> tuple[Any, ...]:
        return self.group, self.member, self.epoch, self.renews, _acks(self.acks)

    @classmethod
    def read(cls, said: Any) -> Acknowledged:
        partitions = {
            (topic, index): (error, message) for topic, rows, _ in said.topics for index, error, message, _, _ in rows
        }
        return Acknowledged(said.error, said.message, partitions, _nodes(said.nodes))


def _nodes(rows: Sequence[Any]) -> list[Node]:
    return [Node(row[0], row[1], row[2]) for row in rows]
