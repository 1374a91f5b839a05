"""The state of one domain, and the elementary moves that keep it whole.

Everything here and in the modules that take a ``Store`` is synchronous: an
operation is atomic because nothing runs in between. Whoever comes from an event
loop takes ``lock`` first, because another thread's loop may share the store.
"""

from __future__ import annotations

import heapq
import secrets
import threading
from collections import deque
from typing import TypeAlias

from orcastra_core.backends.memory.entry import BLOCKED, DELAYED, GONE, READY, Entry, Queue
from orcastra_core.backends.memory.event_list import EventList
from orcastra_core.backends.memory.feed_state import FeedState
from orcastra_core.backends.memory.keys import Windows, ended
from orcastra_core.backends.memory.ledger import Ledger
from orcastra_core.backends.memory.schedule_book import ScheduleBook
from orcastra_core.backends.memory.session_state import SessionState
from orcastra_core.backends.memory.settings import LIMITS, Settings
from orcastra_core.interfaces.clock import Clock
from orcastra_core.model.dead_letter import DeadLetter
from orcastra_core.model.ids import TaskId
from orcastra_core.model.names import QueueName, SessionId
from orcastra_core.model.profile import Cap
from orcastra_core.model.result import Result

_Ticket: TypeAlias = tuple[float, int, Entry]
"""A due moment (Unix seconds), the number of the ticket, and the entry."""


class Store:
    """One domain in memory.

    Attributes:
        clock: The store's clock: that of the broker that made it.
        lock: Held through every operation.
        queues: By name; made on first use.
        ledger: Every id the store knows.
        sessions: Those that were not left or reaped.
        orphans: Deliveries of reaped sessions that no sweep has handed out again yet.
        dead: The dead letters.
        feeds: Those who listen for results, by channel.
    """

    def __init__(self, settings: Settings, clock: Clock) -> None:
        self.clock = clock
        self.without = settings.without
        self.lock = threading.RLock()
        self.queues: dict[QueueName, Queue] = {}
        self.ledger = Ledger(LIMITS.publish_window)
        self.sessions: dict[SessionId, SessionState] = {}
        self.orphans: deque[Entry] = deque()
        self.dead: dict[TaskId, DeadLetter] = {}
        self.feeds: dict[str, FeedState] = {}
        self.events = EventList(0 if Cap.EVENTS in settings.without else settings.events_max)
        self.windows = Windows()
        self.schedules = ScheduleBook()
        self.receipts = 0
        self._delayed: list[_Ticket] = []
        self._stale = 0  # at least this many of them speak for no entry any more
        self._tickets = 0
        self._names = 0
        self._nonce = secrets.token_hex(4)

    def name(self, kind: str) -> str:
        """Return a name that this store never gave before, nor will another."""
        self._names += 1
        return f"{kind}-{self._nonce}-{self._names}"

    def queue(self, name: QueueName) -> Queue:
        """Return a queue, made on first use."""
        queue = self.queues.get(name)
        if queue is None:
            queue = self.queues[name] = Queue(name)
        return queue

    def place(self, entry: Entry, due: float | None) -> None:
        """Make an entry wait: at the tail of its level, or until ``due`` (Unix seconds) if that is to come."""
        if due is not None and due > self.clock.now():
            self._defer(entry, due)
            return
        entry.state = READY
        entry.ready_at = self.clock.monotonic()
        entry.level.append(entry)
        if entry.queue.waiters:
            entry.queue.wake()

    def block(self, entry: Entry, due: float | None) -> None:
        """Make an entry wait for its ordering key, and after that until ``due``."""
        entry.state = BLOCKED
        entry.due = due or 0.0
        entry.queue.delayed += 1

    def put_back(self, entry: Entry) -> None:
        """Put an entry back to the head of its level. It has been ready for as long as before."""
        entry.state = READY
        entry.level.appendleft(entry)
        if entry.queue.waiters:
            entry.queue.wake()

    def remove_waiting(self, entry: Entry) -> None:
        """Take out an entry that nobody holds; where it sits, it is passed over later."""
        state, entry.state = entry.state, GONE
        if state == READY:
            entry.queue.lose_one()
        elif state == BLOCKED:
            entry.queue.delayed -= 1
        elif state == DELAYED:
            entry.queue.delayed -= 1
            self._stale += 1
            if self._stale > 1000 and self._stale > len(self._delayed) // 2:
                self._delayed = [item for item in self._delayed if _speaks(item)]
                heapq.heapify(self._delayed)
                self._stale = 0

    def promote(self, limit: int) -> int:
        """Make delayed entries ready whose moment has come, earliest first; return how many."""
        heap, now, done = self._delayed, self.clock.now(), 0
        while heap and done < limit and heap[0][0] <= now:
            item = heapq.heappop(heap)
            if _speaks(item):
                entry = item[2]
                entry.queue.delayed -= 1
                self.place(entry, None)
                done += 1
        return done

    def next_due(self) -> float | None:
        """Return the moment (Unix seconds) when the next entry or schedule is due; None if nothing waits."""
        heap = self._delayed
        while heap and not _speaks(heap[0]):
            heapq.heappop(heap)
        moments = [
            moment for moment in (heap[0][0] if heap else None, self.schedules.next_look()) if moment is not None
        ]
        return min(moments, default=None)

    def tell_due_soon(self, due: float, before: float | None) -> None:
        """Tell every session, if something due at ``due`` came in ahead of what was next ``before``."""
        if before is None or due < before:
            for session in self.sessions.values():
                session.want_promote()

    def push(self, result: Result, reply: str | None) -> None:
        """Hand a result to the feed that waits for it, if there is one."""
        feed = self.feeds.get(reply) if reply is not None else None
        if feed is not None:
            feed.push(result)

    def finish(self, entry: Entry, result: Result) -> None:
        """End an entry that nobody holds, for good: its result, its keys, its waiter."""
        self.ledger.finish({result.ttl: [result]}, self.clock.monotonic())
        if entry.special is not None:
            ended(self, entry)
        self.push(result, entry.reply)

    def _defer(self, entry: Entry, due: float) -> None:
        before = self.next_due()
        self._tickets += 1
        entry.state, entry.due, entry.ticket = DELAYED, due, self._tickets
        entry.queue.delayed += 1
        heapq.heappush(self._delayed, (due, self._tickets, entry))
        self.tell_due_soon(due, before)


def _speaks(ticket: _Ticket) -> bool:
    entry = ticket[2]
    return entry.state == DELAYED and entry.ticket == ticket[1]
