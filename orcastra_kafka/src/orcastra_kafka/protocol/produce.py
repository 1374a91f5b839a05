"""InitProducerId v4 and Produce v9, as values."""

from __future__ import annotations

from typing import Any

import attrs

from orcastra_kafka.share.private import CompactBytes, Int16, Int32, Int64
from orcastra_kafka.share.wire import NO_TAGS, TEXT, Request, array


@attrs.frozen
class ProducerIdentity:
    """Attributes: an ``error`` (0: none), the producer's ``id`` and its ``epoch``."""

    error: int
    id: int
    epoch: int


@attrs.frozen
class InitProducerId(Request[ProducerIdentity]):
    """Ask for an identity under which repeats are recognised.

    Attributes:
        transactional: The id of transactions: whoever had it before is fenced, and what he left open is aborted.
        timeout: Seconds after which the coordinator aborts a transaction by itself.
    """

    key = 22
    version = 4
    layout = (("transactional", TEXT), ("timeout", Int32), ("id", Int64), ("epoch", Int16))
    answer = (("throttle", Int32), ("error", Int16), ("id", Int64), ("epoch", Int16))

    transactional: str | None = attrs.field(default=None, kw_only=True)
    timeout: float | None = attrs.field(default=None, kw_only=True)

    def fields(self) -> tuple[Any, ...]:
        return self.transactional, 0x7FFFFFFF if self.timeout is None else round(self.timeout * 1000), -1, -1

    @classmethod
    def read(cls, said: Any) -> ProducerIdentity:
        return ProducerIdentity(said.error, said.id, said.epoch)


@attrs.frozen
class Produced:
    """Attributes: an ``error`` (0: none), what was said about it, and the first record's ``offset``."""

    error: int
    message: str | None
    offset: int


@attrs.frozen
class Produce(Request[Produced]):
    """Append one batch of records to one partition; answered when all replicas in sync have it."""

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

    topic: str
    partition: int
    records: bytes = attrs.field(repr=False)
    timeout: float
    transactional: str | None = None

    def fields(self) -> tuple[Any, ...]:
        rows = [(self.topic, [(self.partition, self.records, NO_TAGS)], NO_TAGS)]
        return self.transactional, -1, round(self.timeout * 1000), rows

    @classmethod
    def read(cls, said: Any) -> Produced:
        row = said.topics[0][1][0]
        return Produced(row[1], row[6], row[2])
