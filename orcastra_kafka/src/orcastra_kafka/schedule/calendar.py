"""When to look at what: a heap of what is near, and hours of what is far."""

from __future__ import annotations

import heapq
from collections.abc import Iterable
from typing import TypeAlias

import attrs

HOUR = 3600.0
"""Seconds that an hour of the far part has, and how far ahead the near one reaches at the least."""


@attrs.define(eq=False)
class Entry:
    """What is remembered of a schedule.

    Attributes:
        due: Its tick, Unix seconds.
        look: When to look at it, infinity while it is paused.
        offset: Of its record.
        ticket: Of its place in the heap; 0: it has none.
        value: Its record's, where that is kept.
    """

    due: float
    look: float
    offset: int
    ticket: int = 0
    value: bytes | None = attrs.field(default=None, repr=False)


Due: TypeAlias = tuple[bytes, Entry]
"""A key and what is remembered of it."""


class Calendar:
    """Keys by the moment to look at them. Moments are Unix seconds.

    Args:
        now: What is near is reckoned from here, to begin with.
    """

    def __init__(self, now: float) -> None:
        self._near: list[tuple[float, int, bytes, Entry]] = []
        self._until = 0.0
        self._hours: dict[int, dict[bytes, Entry]] = {}
        self._least: dict[int, float] = {}
        self._tickets = 0
        self._come_near(now)

    @property
    def near(self) -> int:
        """How many places the heap has, stale ones included."""
        return len(self._near)

    def put(self, key: bytes, entry: Entry) -> None:
        """Give an entry its place."""
        if entry.look == float("inf"):
            return
        if entry.look < self._until:
            self._tickets += 1
            entry.ticket = self._tickets
            heapq.heappush(self._near, (entry.look, entry.ticket, key, entry))
            return
        hour = int(entry.look // HOUR)
        entries = self._hours.setdefault(hour, {})
        if not entries or entry.look < self._least.get(hour, float("-inf")):
            self._least[hour] = entry.look
        entries[key] = entry

    def drop(self, key: bytes, entry: Entry) -> None:
        """Take an entry's place away."""
        if entry.ticket:
            entry.ticket = 0
            return
        if entry.look == float("inf"):
            return
        hour = int(entry.look // HOUR)
        entries = self._hours.get(hour)
        if entries is None or entries.pop(key, None) is None:
            return
        if not entries:
            del self._hours[hour]
        if not entries or self._least.get(hour) == entry.look:
            self._least.pop(hour, None)  # it is looked for when it is asked for

    def due(self, now: float, limit: int) -> list[Due]:
        """Take what is to be looked at, earliest first; ``restore`` what stays as it is."""
        self._come_near(now)
        found: list[Due] = []
        while self._near and len(found) < limit and self._near[0][0] <= now:
            _, ticket, key, entry = heapq.heappop(self._near)
            if entry.ticket == ticket:
                found.append((key, entry))
        return found

    def peek(self, now: float, limit: int) -> list[Due]:
        """Return what is to be looked at, earliest first."""
        found = self.due(now, limit)
        self.restore(found)
        return found

    def restore(self, due: Iterable[Due]) -> None:
        """Put back what was taken and not changed since."""
        for key, entry in due:
            if entry.ticket:
                self.put(key, entry)

    def first(self, now: float) -> float | None:
        """Return the earliest moment to look at something; None if nothing waits."""
        self._come_near(now)
        while self._near and self._near[0][3].ticket != self._near[0][1]:
            heapq.heappop(self._near)
        if self._near:
            return self._near[0][0]
        if not self._hours:
            return None
        hour = min(self._hours)
        if hour not in self._least:
            self._least[hour] = min(entry.look for entry in self._hours[hour].values())
        return self._least[hour]

    def _come_near(self, now: float) -> None:
        """Move the hours that begin within the next one into the heap."""
        if now + HOUR <= self._until:
            return
        self._until = (int((now + HOUR) // HOUR) + 1) * HOUR
        for hour in [hour for hour in self._hours if hour * HOUR < self._until]:
            self._least.pop(hour, None)
            for key, entry in self._hours.pop(hour).items():
                self.put(key, entry)
