"""The broker's edge: who may call, and under which lock."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Sequence
from typing import ClassVar

from orcastra_core.backends.memory import census, control, handover, intake
from orcastra_core.backends.memory.dead_letters import MemoryDeadLetters
from orcastra_core.backends.memory.entry import Entry
from orcastra_core.backends.memory.events import MemoryEvents
from orcastra_core.backends.memory.feed_state import FeedState
from orcastra_core.backends.memory.gate import Gate
from orcastra_core.backends.memory.results import MemoryResults
from orcastra_core.backends.memory.scheduler import MemoryScheduler
from orcastra_core.backends.memory.session import MemorySession
from orcastra_core.backends.memory.session_state import SessionState
from orcastra_core.backends.memory.settings import CLAIMS, LIMITS, NOTES, Settings
from orcastra_core.backends.memory.store import Store
from orcastra_core.interfaces.broker import Broker
from orcastra_core.interfaces.clock import Clock
from orcastra_core.interfaces.session import Session
from orcastra_core.liveness.system_clock import SystemClock
from orcastra_core.model.broker_url import BrokerUrl
from orcastra_core.model.counts import FRESH
from orcastra_core.model.envelope import Envelope, Unreadable
from orcastra_core.model.errors import InvalidOption, Unsupported
from orcastra_core.model.ids import TaskId
from orcastra_core.model.names import DomainName, QueueName, SessionId
from orcastra_core.model.profile import Cap, Durability, Profile
from orcastra_core.model.published import Published
from orcastra_core.model.queue import QueueDepth, QueueSpec
from orcastra_core.model.session import Swept
from orcastra_core.model.task_state import Cancellation, Cancelled, State, TaskState

_shared: weakref.WeakValueDictionary[tuple[str, DomainName, frozenset[Cap]], Store] = weakref.WeakValueDictionary()
_shared_lock = threading.Lock()


class MemoryBroker(Broker):
    """``memory://``: the reference broker.

    ``memory://`` alone is a store of this broker's own. ``memory://name`` is
    one store for all brokers of this process with that name and domain, in any event loop
    and thread; it lives as long as one of them does, open or not.

    Args:
        url: May say ``events_max`` (entries the event log keeps) and
            ``without`` (capabilities not to offer, by name).
        clock: The store's clock. For a shared store the first broker's counts, as a server's would.
    """

    claims: ClassVar[frozenset[Cap]] = CLAIMS

    def __init__(self, url: BrokerUrl, *, clock: Clock | None = None) -> None:
        settings = Settings.of(url)
        self._store = _store_for(settings, url.domain, clock or SystemClock())
        self._without = settings.without
        self._gate = Gate()
        self._sessions: weakref.WeakSet[SessionState] = weakref.WeakSet()
        self._feeds: set[FeedState] = set()
        weakref.finalize(self, _fall_silent, self._store, self._sessions).atexit = False

        def offered(*caps: Cap) -> bool:
            return not settings.without.issuperset(caps)

        self.scheduler = MemoryScheduler(self._store, self._gate) if offered(Cap.SCHEDULES, Cap.DELAY) else None
        self.results = MemoryResults(self._store, self._gate, self._feeds) if offered(Cap.RESULTS) else None
        self.dead_letters = MemoryDeadLetters(self._store, self._gate) if offered(Cap.DEAD_LETTERS) else None
        self.events = MemoryEvents(self._store, self._gate) if offered(Cap.EVENTS) else None

    async def open(self) -> Profile:
        if self._gate.since is None:
            self._gate.since = self._store.clock.monotonic()
        notes = dict.fromkeys(self._without, "the URL says «without»") | NOTES
        return Profile(
            server="memory (in this process)",
            capabilities=CLAIMS - self._without,
            limits=LIMITS,
            durability=Durability.NONE,
            notes=notes,
        )

    async def close(self) -> None:
        with self._store.lock:
            self._gate.since = None
            _fall_silent(self._store, self._sessions)
            self._sessions.clear()
            for feed in self._feeds:
                self._store.feeds.pop(feed.channel, None)
                feed.close()
            self._feeds.clear()

    async def declare(self, queues: Sequence[QueueSpec], /) -> None:
        self._gate.check()
        with self._store.lock:
            for spec in queues:
                self._store.queue(spec.name).spec = spec

    async def publish(self, batch: Sequence[Envelope], /, *, events: Sequence[bytes] = ()) -> Sequence[Published]:
        self._gate.check()
        with self._store.lock:
            return intake.admit(self._store, batch, events)

    async def open_session(self, queues: Sequence[QueueName], /, *, lease: float) -> Session:
        self._gate.check()
        if not lease >= LIMITS.min_lease:
            raise InvalidOption(f"a lease of {lease:g} s is below this broker's least, {LIMITS.min_lease:g} s")
        with self._store.lock:
            state = SessionState(SessionId(self._store.name("session")), lease)
            self._store.sessions[state.id] = state
            self._sessions.add(state)
            for name in queues:
                self._store.queue(name)
        return MemorySession(self._store, state)

    async def sweep(self, *, limit: int) -> Swept:
        since = self._gate.check()
        store = self._store
        with store.lock:
            now = store.clock.monotonic()
            lapsed = [s for s in store.sessions.values() if s.lapsed(now) and now - since >= s.lease]
            for session in lapsed:
                handover.reap(store, session)
            lost = handover.rehome(store, limit)
            return Swept(sessions=[s.id for s in lapsed], lost=lost, more=bool(store.orphans))

    async def expire(self, session: SessionId, /) -> int:
        self._gate.check()
        store = self._store
        with store.lock:
            state = store.sessions.get(session)
            if state is None:
                return 0
            handover.reap(store, state)
            return len(handover.rehome(store, len(store.orphans), only=session))

    async def beat(self, session: SessionId, /) -> bool:
        self._gate.check()
        with self._store.lock:
            state = self._store.sessions.get(session)
            if state is None:
                return False
            if state.silent_since is not None:
                state.silent_since = self._store.clock.monotonic()
            return True

    async def cancel(self, batch: Sequence[Cancellation], /) -> Sequence[Cancelled]:
        self._check(Cap.CANCEL)
        with self._store.lock:
            return [control.cancel(self._store, wish) for wish in batch]

    async def find(self, ids: Sequence[TaskId], /) -> Sequence[TaskState | None]:
        self._check(Cap.LOOKUP)
        with self._store.lock:
            return [control.find(self._store, task_id) for task_id in ids]

    async def inspect(self, queues: Sequence[QueueName] | None = None, /) -> Sequence[QueueDepth]:
        self._check(Cap.INSPECT)
        with self._store.lock:
            return control.inspect(self._store, sorted(self._store.queues) if queues is None else queues)

    async def pause(self, queues: Sequence[QueueName], /) -> None:
        self._check(Cap.PAUSE)
        with self._store.lock:
            for name in queues:
                self._store.queue(name).paused = True

    async def resume(self, queues: Sequence[QueueName], /) -> None:
        self._check(Cap.PAUSE)
        with self._store.lock:
            for name in queues:
                queue = self._store.queue(name)
                queue.paused = False
                queue.wake()

    async def purge(
        self, queue: QueueName, /, *, states: frozenset[State] = frozenset({State.READY, State.DELAYED})
    ) -> int:
        self._check(Cap.PURGE)
        if not states <= {State.READY, State.DELAYED, State.DEAD}:
            raise InvalidOption("only ready, delayed and dead tasks can be purged")
        with self._store.lock:
            return control.purge(self._store, queue, states)

    def plant(self, unreadable: Unreadable) -> None:
        """Put bytes that are no envelope into a queue, as another program might on a server. For tests."""
        with self._store.lock:
            queue = self._store.queue(unreadable.queue)
            entry = Entry(unreadable, queue, queue.level(0), FRESH, None, 0.0)
            self._store.ledger.known[unreadable.id] = entry
            self._store.place(entry, None)

    def census(self) -> dict[str, int]:
        """Count what the store holds, by kind. For tests."""
        with self._store.lock:
            return census.take(self._store)

    def _check(self, cap: Cap) -> None:
        if cap in self._without:
            raise Unsupported(cap)
        self._gate.check()


def _store_for(settings: Settings, domain: DomainName, clock: Clock) -> Store:
    if settings.name is None:
        return Store(settings, clock)
    key = (settings.name, domain, settings.without)
    with _shared_lock:
        store = _shared.get(key)
        if store is None:
            store = _shared[key] = Store(settings, clock)
        return store


def _fall_silent(store: Store, sessions: weakref.WeakSet[SessionState]) -> None:
    """Have the sessions of a closed or forgotten broker lapse, and free whoever waits in them."""
    with store.lock:
        for session in list(sessions):
            if not session.closed:
                session.silent_since = session.silent_since or store.clock.monotonic()
                session.end(fenced=False)
