"""One write transaction, as the operations in it see it."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Iterable

import attrs

from orcastra_core.model.names import QueueName


@attrs.define
class Effects:
    """What is to happen once the transaction is committed, and not if it isn't.

    Attributes:
        ready: How many tasks became ready, by queue.
        all_waiters: Queues all of whose waiters are to look, not only as many as there are tasks.
        pushes: Encoded results by the channel that waits for them.
        hints: Ids of results that channels are to read for themselves.
        due_soon: Whether the next due moment moved forward.
        cancels: Numbers of sessions with a wish to cancel.
        fenced: Numbers of sessions that were reaped.
    """

    ready: Counter[QueueName] = attrs.field(factory=Counter)
    all_waiters: set[QueueName] = attrs.field(factory=set)
    pushes: list[tuple[str, bytes]] = attrs.field(factory=list)
    hints: list[tuple[str, str]] = attrs.field(factory=list)
    due_soon: bool = False
    cancels: set[int] = attrs.field(factory=set)
    fenced: set[int] = attrs.field(factory=set)

    def add(self, other: Effects) -> None:
        """Take in those of another operation."""
        self.ready.update(other.ready)
        self.all_waiters |= other.all_waiters
        self.pushes += other.pushes
        self.hints += other.hints
        self.due_soon |= other.due_soon
        self.cancels |= other.cancels
        self.fenced |= other.fenced


class QueueNumbers:
    """The numbers of queues. They are never taken back, so what was committed may be kept."""

    def __init__(self) -> None:
        self.by_name: dict[QueueName, int] = {}
        self.by_number: dict[int, QueueName] = {}

    def keep(self, pairs: Iterable[tuple[QueueName, int]]) -> None:
        """Remember committed numbers."""
        for name, number in pairs:
            self.by_name[name] = number
            self.by_number[number] = name


class Tx:
    """A write transaction: its connection, its moment, its counters and what it will have caused.

    Attributes:
        conn: In a transaction.
        now: Unix seconds by the store's clock, the same for all operations in it.
        effects: Of the operation that runs; kept if it succeeds.
        waited: Seconds this process waited for its turn to write.
    """

    def __init__(
        self, conn: sqlite3.Connection, now: float, queues: QueueNumbers, events_max: int, waited: float = 0.0
    ) -> None:
        self.conn = conn
        self.now = now
        self.waited = waited
        self.effects = Effects()
        self._done = Effects()
        self._queues = queues
        self._new: dict[QueueName, int] = {}
        self._events_max = events_max
        self._counters: list[int] | None = None
        self._loaded: list[int] = []

    def take_numbers(self, count: int) -> int:
        """Return the first of ``count`` fresh numbers for tasks and places."""
        counters = self._load()
        counters[0] += count
        return counters[0] - count + 1

    def take_session(self) -> int:
        """Return a number for a session."""
        counters = self._load()
        counters[2] += 1
        return counters[2]

    def append_events(self, pieces: list[bytes]) -> None:
        """Append pieces to the log; beyond its bound the oldest go, a twentieth at a time."""
        if not pieces:
            return
        counters = self._load()
        first = counters[1] + 1
        counters[1] = last = counters[1] + len(pieces)
        self.conn.execute("INSERT INTO event (first, records) VALUES (?, ?)", (first, b"".join(pieces)))
        step = max(1, self._events_max // 20)
        if first // step != (last + 1) // step:
            self.conn.execute("DELETE FROM event WHERE first <= ?", (last - self._events_max,))

    def queue_number(self, name: QueueName) -> int:
        """Return the number of a queue, made on first use."""
        number = self._queues.by_name.get(name) or self._new.get(name)
        if number is None:
            self.conn.execute("INSERT INTO queue (name) VALUES (?) ON CONFLICT DO NOTHING", (name,))
            (number,) = self.conn.execute("SELECT num FROM queue WHERE name = ?", (name,)).fetchone()
            self._new[name] = number
        return number

    def queue_name(self, number: int) -> QueueName:
        """Return the name of a queue that exists."""
        name = self._queues.by_number.get(number)
        if name is None:
            (name,) = self.conn.execute("SELECT name FROM queue WHERE num = ?", (number,)).fetchone()
            self._new[name] = number
        return name

    def succeeded(self) -> None:
        """The operation that ran is kept."""
        self._done.add(self.effects)
        self.effects = Effects()

    def undone(self) -> None:
        """The operation that ran was rolled back. Numbers it took stay unused."""
        self.effects = Effects()
        self._new.clear()

    def finish(self) -> None:
        """Write the counters; right before COMMIT."""
        if self._counters is not None and self._counters != self._loaded:
            self.conn.execute("UPDATE counter SET num = ?, event = ?, session = ?", self._counters)

    def committed(self) -> Effects:
        """Note that COMMIT succeeded and return what is to happen now."""
        self._queues.keep(self._new.items())
        return self._done

    def _load(self) -> list[int]:
        if self._counters is None:
            self._loaded = list(self.conn.execute("SELECT num, event, session FROM counter").fetchone())
            self._counters = list(self._loaded)
        return self._counters
