"""AddPartitionsToTxn v3 and EndTxn v3, as values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import attrs

from orcastra_kafka.protocol.produce import ProducerIdentity
from orcastra_kafka.share.private import Boolean, CompactArray, Int16, Int32, Int64
from orcastra_kafka.share.wire import NO_TAGS, TEXT, Request, array

TRANSACTION = 1
"""The kind of coordinator that transactions have."""


@attrs.frozen
class AddPartitions(Request[int]):
    """Take partitions into a transaction; the first begins it. Answered with an error, 0 for none."""

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
        ("topics", array(("name", TEXT), ("partitions", array(("index", Int32), ("error", Int16))))),
    )

    transactional: str
    identity: ProducerIdentity
    partitions: Mapping[str, Sequence[int]]

    def fields(self) -> tuple[Any, ...]:
        rows = [(name, list(numbers), NO_TAGS) for name, numbers in self.partitions.items()]
        return self.transactional, self.identity.id, self.identity.epoch, rows

    @classmethod
    def read(cls, said: Any) -> int:
        errors = [int(row[1]) for _, rows, _ in said.topics for row in rows if row[1]]
        # the others say «operation not attempted» where one is at fault
        return next((error for error in errors if error != _NOT_ATTEMPTED), errors[0] if errors else 0)


_NOT_ATTEMPTED = 55


@attrs.frozen
class EndTransaction(Request[int]):
    """Commit a transaction, or abort it. Answered with an error, 0 for none; a repeat is answered alike."""

    key = 26
    version = 3
    layout = (("transactional", TEXT), ("id", Int64), ("epoch", Int16), ("commit", Boolean))
    answer = (("throttle", Int32), ("error", Int16))

    transactional: str
    identity: ProducerIdentity
    commit: bool

    def fields(self) -> tuple[Any, ...]:
        return self.transactional, self.identity.id, self.identity.epoch, self.commit

    @classmethod
    def read(cls, said: Any) -> int:
        return int(said.error)
