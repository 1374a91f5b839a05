"""The event log's edge."""

from __future__ import annotations

from collections.abc import Sequence

from orcastra_core.backends.memory.gate import Gate
from orcastra_core.backends.memory.store import Store
from orcastra_core.interfaces.events import EventLog
from orcastra_core.model.errors import InvalidOption
from orcastra_core.model.event import LogEntry
from orcastra_core.serialization import event_codec


class MemoryEvents(EventLog):
    """The log as encoded pieces, decoded when read.

    A cursor is «piece.record»: one settlement's events are one piece.
    """

    def __init__(self, store: Store, gate: Gate) -> None:
        self._store = store
        self._gate = gate

    async def append(self, batch: Sequence[bytes], /) -> None:
        self._gate.check()
        with self._store.lock:
            self._store.events.extend(list(batch))

    async def read(self, *, after: str | None = None, limit: int = 1000) -> Sequence[LogEntry]:
        self._gate.check()
        piece, record = _parse(after)
        with self._store.lock:
            pieces = self._store.events.from_number(piece, limit + 1)
        entries: list[LogEntry] = []
        for number, encoded in pieces:
            for at, event in enumerate(event_codec.decode_events(encoded), 1):
                if (number, at) > (piece, record):
                    entries.append(LogEntry(f"{number}.{at}", event))
            if len(entries) >= limit:
                break
        return entries[:limit]

    async def trim(self, *, keep: int) -> int:
        self._gate.check()
        with self._store.lock:
            return self._store.events.trim(keep)


def _parse(cursor: str | None) -> tuple[int, int]:
    if cursor is None:
        return 0, 0
    piece, _, record = cursor.partition(".")
    if not piece.isdecimal() or not record.isdecimal():
        raise InvalidOption(f"{cursor!r} is no cursor of this log")
    return int(piece), int(record)
