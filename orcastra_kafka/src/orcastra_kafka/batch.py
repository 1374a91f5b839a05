"""A batch of records for one partition, written as it gathers."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import NamedTuple

from orcastra_core.model.errors import BrokerError
from orcastra_kafka.protocol.produce import ProducerIdentity
from orcastra_kafka.share.private import BatchBuilder, MemoryRecords

_MAGIC = 2
_NO_HEADERS: list[tuple[str, bytes]] = []
_ROOM = 128
"""Bytes that a record takes beside its value; more where it has headers, for which topics leave room."""


class Room(NamedTuple):
    """What a batch may grow to: so many records, and bytes."""

    records: int
    size: int


class Batch:
    """Records on their way to one partition, confirmed together.

    Nothing is kept of a record but its bytes in the batch.

    Args:
        codec: A compression's number, 0 for none.
        done: Gets the answer: None, or why the records are not known to be there.
    """

    def __init__(self, codec: int, done: asyncio.Future[BrokerError | None]) -> None:
        self.number = 0
        self.done = done
        self._codec = codec
        self._builder = self._begin()
        self._payload: bytes | None = None

    def has_room(self, size: int, room: Room) -> bool:
        """Whether a value of ``size`` bytes may join; the first always may."""
        return not self.number or (self.number < room.records and self._builder.size() + size + _ROOM <= room.size)

    def append(self, key: bytes | None, value: bytes | None, headers: Sequence[tuple[str, bytes]]) -> None:
        """Add a record, as of now."""
        self._builder.append(self.number, None, key, value, list(headers) if headers else _NO_HEADERS)
        self.number += 1

    def payload(self, identity: ProducerIdentity, sequence: int) -> bytes:
        """Return the bytes that a producer of this identity appends; its first record has this number in its sequence."""
        builder = self._builder
        if self._payload is not None:  # what was built, and perhaps compressed, cannot be built again
            builder = self._copied(self._payload)
        builder.set_producer_state(identity.id, identity.epoch, sequence)
        self._payload = bytes(builder.build())
        return self._payload

    def answer(self, answer: BrokerError | None) -> None:
        """Tell those who wait."""
        if not self.done.done():
            self.done.set_result(answer)

    def _begin(self) -> BatchBuilder:
        return BatchBuilder(_MAGIC, self._codec, 0, -1, -1, -1, 1 << 30)

    def _copied(self, payload: bytes) -> BatchBuilder:
        builder = self._begin()
        for record in MemoryRecords(payload).next_batch():
            builder.append(record.offset, record.timestamp, record.key, record.value, record.headers)
        return builder
