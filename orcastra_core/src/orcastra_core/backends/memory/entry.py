"""A task in the store, and the queue it is in."""

from __future__ import annotations

from collections import OrderedDict, deque
from typing import TYPE_CHECKING

from orcastra_core.model.counts import Counts
from orcastra_core.model.envelope import Envelope, Unreadable
from orcastra_core.model.names import QueueName
from orcastra_core.model.queue import QueueSpec

if TYPE_CHECKING:
    from orcastra_core.backends.memory.keys import Hold
    from orcastra_core.backends.memory.session_state import SessionState
    from orcastra_core.backends.memory.waiting import Waiter

READY, DELAYED, BLOCKED, RUNNING, ORPHANED, MOVED, GONE = range(7)
"""Where an entry is. BLOCKED waits for its ordering key, ORPHANED for a sweep to hand it out again, MOVED for a
scheduler to publish it again (it keeps its keys meanwhile), GONE is removed."""


class Special:
    """What few tasks have, kept out of the way of those that don't."""

    __slots__ = ("cancel", "hold", "order_by", "past")

    def __init__(self) -> None:
        self.hold: Hold | None = None
        self.order_by: str | None = None
        self.cancel = False
        self.past: tuple[Counts, ...] = ()  # that it was published with before it was MOVED


class Entry:
    """A task that has not ended."""

    __slots__ = (
        "counts",
        "due",
        "envelope",
        "id",
        "level",
        "queue",
        "ready_at",
        "receipt",
        "reply",
        "session",
        "special",
        "state",
        "ticket",
    )

    due: float  # only while DELAYED or BLOCKED
    ticket: int  # only while DELAYED: which item of the heap speaks for it
    session: SessionState  # only while RUNNING or ORPHANED
    receipt: int  # only while RUNNING

    def __init__(
        self,
        envelope: Envelope | Unreadable,
        queue: Queue,
        level: deque[Entry],
        counts: Counts,
        reply: str | None,
        ready_at: float,
    ) -> None:
        self.id = envelope.id
        self.envelope = envelope
        self.queue = queue
        self.level = level
        self.counts = counts
        self.reply = reply
        self.ready_at = ready_at
        self.state = READY
        self.special: Special | None = None


class Queue:
    """Entries by priority, and what hangs on the queue's name."""

    __slots__ = ("delayed", "gone", "holds", "levels", "lines", "name", "order", "paused", "spec", "waiters")

    def __init__(self, name: QueueName) -> None:
        self.name = name
        self.spec = QueueSpec(name)
        self.levels: dict[int, deque[Entry]] = {}
        self.order: list[deque[Entry]] = []  # highest priority first
        self.paused = False
        self.gone = 0  # removed entries that still sit in a level
        self.delayed = 0  # DELAYED and BLOCKED
        self.holds: dict[str, Hold] = {}  # by dedup key
        self.lines: dict[str, deque[Entry]] = {}  # by ordering key; the first is the one that may run
        self.waiters: OrderedDict[Waiter, None] = OrderedDict()
        self.level(0)

    def level(self, priority: int) -> deque[Entry]:
        """Return the entries of one priority."""
        level = self.levels.get(priority)
        if level is None:
            level = self.levels[priority] = deque()
            self.order = [self.levels[p] for p in sorted(self.levels, reverse=True)]
        return level

    def ready(self) -> int:
        """How many could be handed out now."""
        return sum(map(len, self.order)) - self.gone

    def lose_one(self) -> None:
        """Note that a ready entry was removed; let go of such places once they are the most."""
        self.gone += 1
        if self.gone > 1000 and self.gone > self.ready():
            self.sweep_out()

    def sweep_out(self) -> None:
        """Let go of removed entries that still sit in the levels."""
        for level in self.order:
            kept = [entry for entry in level if entry.state == READY]
            level.clear()
            level.extend(kept)
        self.gone = 0

    def wake(self) -> None:
        """Wake the fetch that has waited longest; it wakes the next one if it leaves something."""
        while self.waiters:
            waiter, _ = self.waiters.popitem(last=False)
            if waiter.wake():
                return
