"""InitProducerId v4, AddPartitionsToTxn v3, Produce v9 and EndTxn v3 for transactions, and where logs really end, as values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import attrs

from orcastra_kafka.protocol.log import LATEST, ListOffsets
from orcastra_kafka.protocol.produce import InitProducerId, Produced
from orcastra_kafka.share.private import Boolean, CompactArray, CompactBytes, Int16, Int32, Int64
from orcastra_kafka.share.wire import NO_TAGS, TEXT, Request, array

Place: TypeAlias = tuple[str, int]
"""A topic's name and a partition's number."""

TRANSACTION = 1
"""The kind of coordinator that transactional ids have."""


@attrs.frozen
class TakeProducerId(InitProducerId):
    """Take a transactional id over: what its last holder has open is ended, and he is refused from now on.

    Attributes:
        name: The transactional id.
        timeout: Seconds after which the brokers abort a transaction that nobody ends.
    """

    name: str
    timeout: float

    def fields(self) -> tuple[Any, ...]:
        return self.name, round(self.timeout * 1000), -1, -1


@attrs.frozen(kw_only=True)
class _Transactional(Request[Any]):
    """What names a transaction."""

    key = -1
    version = 0
    layout = ()
    answer = ()

    name: str
    id: int
    epoch: int


@attrs.frozen(kw_only=True)
class AddPartitions(_Transactional):
    """Say to which partitions a transaction will write. Answered with an error for each."""

    key = 24
    version = 3
    layout = (
        ("transactional", TEXT),
        ("id", Int64),
        ("epoch", Int16),
        ("topics", array(("name", TEXT), ("partitions", CompactArray(Int32)))),
    )
    answer = (
        ("throttle", Int32),
        ("results", array(("name", TEXT), ("partitions", array(("index", Int32), ("error", Int16))))),
    )

    places: Sequence[Place]

    def fields(self) -> tuple[Any, ...]:
        rows = [(topic, list(numbers), NO_TAGS) for topic, numbers in _by_topic(dict.fromkeys(self.places)).items()]
        return self.name, self.id, self.epoch, rows

    @classmethod
    def read(cls, said: Any) -> Mapping[Place, int]:
        return {(topic, row[0]): row[1] for topic, rows, _ in said.results for row in rows}


@attrs.frozen(kw_only=True)
class EndTransaction(_Transactional):
    """Commit or abort. Answered with an error; 0 also for a repeat."""

    key = 26
    version = 3
    layout = (("transactional", TEXT), ("id", Int64), ("epoch", Int16), ("commit", Boolean))
    answer = (("throttle", Int32), ("error", Int16))

    commit: bool

    def fields(self) -> tuple[Any, ...]:
        return self.name, self.id, self.epoch, self.commit

    @classmethod
    def read(cls, said: Any) -> int:
        error: int = said.error
        return error


@attrs.frozen(kw_only=True)
class ProduceInTransaction(Request[Mapping[Place, Produced]]):
    """Append a batch to each of some partitions that one broker leads; answered when all replicas in sync have them."""

    key = 0
    version = 9
    layout = (
        ("transactional", TEXT),
        ("acks", Int16),
        ("timeout", Int32),
        ("topics", array(("name", TEXT), ("partitions", array(("index", Int32), ("records", CompactBytes))))),
    )
    answer = (
        (
            "topics",
            array(
                ("name", TEXT),
                (
                    "partitions",
                    array(
                        ("index", Int32),
                        ("error", Int16),
                        ("offset", Int64),
                        ("append_time", Int64),
                        ("start", Int64),
                        ("record_errors", array(("index", Int32), ("message", TEXT))),
                        ("message", TEXT),
                    ),
                ),
            ),
        ),
        ("throttle", Int32),
    )

    name: str
    batches: Mapping[Place, bytes] = attrs.field(repr=False)
    timeout: float

    def fields(self) -> tuple[Any, ...]:
        rows = [
            (topic, [(number, records, NO_TAGS) for number, records in batches.items()], NO_TAGS)
            for topic, batches in _by_topic(self.batches).items()
        ]
        return self.name, -1, round(self.timeout * 1000), rows

    @classmethod
    def read(cls, said: Any) -> Mapping[Place, Produced]:
        return {(topic, row[0]): Produced(row[1], row[6], row[2]) for topic, rows, _ in said.topics for row in rows}


@attrs.frozen
class RealEnds(ListOffsets):
    """Ask where partitions end, open transactions included."""

    def fields(self) -> tuple[Any, ...]:
        replica, _, topics = super().fields()
        return replica, 0, topics

    @classmethod
    def of(cls, topic: str, partitions: Sequence[int]) -> RealEnds:
        """Return the question for some partitions of a topic."""
        return cls(topic, dict.fromkeys(partitions, LATEST))


def _by_topic(rows: Mapping[Place, Any]) -> dict[str, dict[int, Any]]:
    topics: dict[str, dict[int, Any]] = {}
    for (topic, number), value in rows.items():
        topics.setdefault(topic, {})[number] = value
    return topics
