"""What one partition of the log says: the newest record of each schedule."""

from __future__ import annotations

from bisect import bisect_right

from orcastra_core.model.errors import DeserializationError
from orcastra_kafka.schedule.calendar import HOUR, Calendar, Entry
from orcastra_kafka.schedule.records import head

KEPT_BYTES = 32 << 20
"""Bytes of values that a partition keeps in memory; beyond them they are read again when they are due."""


class Table:
    """Schedules by key, without the values of those that are far away.

    Attributes:
        calendar: When to look at which.
        keeps: Whether values of what is near are kept: its owner will need them.
    """

    def __init__(self, now: float) -> None:
        self.calendar = Calendar(now)
        self.keeps = False
        self._entries: dict[bytes, Entry] = {}
        self._kept = 0
        self._sorted: list[bytes] | None = None

    def __len__(self) -> int:
        return len(self._entries)

    def __contains__(self, key: bytes) -> bool:
        return key in self._entries

    @property
    def kept(self) -> int:
        """Bytes of values in memory."""
        return self._kept

    def get(self, key: bytes) -> Entry | None:
        """Return what is remembered of a schedule."""
        return self._entries.get(key)

    def apply(self, offset: int, key: bytes, value: bytes | None, now: float) -> None:
        """Take over a record; one that is older than what is known changes nothing."""
        old = self._entries.get(key)
        if old is not None:
            if old.offset > offset:
                return
            self._forget(key, old)
        if not value:
            if self._entries.pop(key, None) is not None:
                self._sorted = None
            return
        try:
            said = head(value)
        except DeserializationError:  # of a later release, or of somebody else
            if self._entries.pop(key, None) is not None:
                self._sorted = None
            return
        entry = Entry(said.due, float("inf") if said.paused else said.look, offset)
        if self.keeps and entry.look < now + HOUR and self._kept + len(value) <= KEPT_BYTES:
            entry.value = value
            self._kept += len(value)
        if old is None:
            self._sorted = None
        self._entries[key] = entry
        self.calendar.put(key, entry)

    def ignore(self, key: bytes) -> None:
        """Do not look at a schedule any more, until it is stored anew."""
        entry = self._entries.get(key)
        if entry is not None:
            self.calendar.drop(key, entry)
            entry.look = float("inf")

    def page(self, after: bytes | None, limit: int) -> list[bytes]:
        """Return keys in their order, behind ``after``."""
        if self._sorted is None:
            self._sorted = sorted(self._entries)
        begin = 0 if after is None else bisect_right(self._sorted, after)
        return self._sorted[begin : begin + max(0, limit)]

    def _forget(self, key: bytes, entry: Entry) -> None:
        self.calendar.drop(key, entry)
        if entry.value is not None:
            self._kept -= len(entry.value)
            entry.value = None  # the heap may hold on to it
