"""The result store's edge."""

from __future__ import annotations

from collections.abc import Sequence

from orcastra_core.backends.memory.feed_state import FeedState
from orcastra_core.backends.memory.gate import Gate
from orcastra_core.backends.memory.store import Store
from orcastra_core.backends.memory.waiting import Waiter
from orcastra_core.interfaces.results import ResultFeed, ResultStore
from orcastra_core.model.errors import BrokerClosed
from orcastra_core.model.ids import TaskId
from orcastra_core.model.profile import Cap
from orcastra_core.model.result import Absence, Result


class MemoryFeed(ResultFeed):
    """One client's pushed results."""

    def __init__(self, store: Store, state: FeedState) -> None:
        self._store = store
        self._state = state
        self.channel = state.channel

    async def next(self, *, wait: float) -> Sequence[Result]:
        store, state = self._store, self._state
        until: float | None = None
        while True:
            with store.lock:
                if state.closed:
                    raise BrokerClosed("the feed was closed")
                now = store.clock.monotonic()
                until = now + wait if until is None else until
                if state.buffer or now >= until:
                    return state.take()
                waiter = state.waiter = Waiter()
            try:
                await waiter.wait(until - now, store.clock)
            finally:
                state.waiter = None

    async def close(self) -> None:
        with self._store.lock:
            self._store.feeds.pop(self.channel, None)
            self._state.close()


class MemoryResults(ResultStore):
    """Results in the store's ledger."""

    def __init__(self, store: Store, gate: Gate, feeds: set[FeedState]) -> None:
        self._store = store
        self._gate = gate
        self._feeds = feeds

    async def put(self, batch: Sequence[tuple[Result, str | None]], /) -> None:
        self._gate.check()
        store = self._store
        with store.lock:
            now = store.clock.monotonic()
            for result, reply in batch:
                found = store.ledger.get(result.id, now)
                replayed = isinstance(found, Result) and found.ended_at < result.ended_at
                if replayed or result.id not in store.ledger.known:
                    store.ledger.finish({result.ttl: [result]}, now)
                    store.push(result, reply)

    async def get(self, ids: Sequence[TaskId], /) -> Sequence[Result | Absence]:
        self._gate.check()
        store = self._store
        with store.lock:
            now = store.clock.monotonic()
            found = [store.ledger.get(task_id, now) for task_id in ids]
            if Cap.LOOKUP in store.without:
                return [one if isinstance(one, Result) else Absence.PENDING for one in found]
            return [
                Absence.EXPIRED if one is Absence.UNKNOWN and task_id in store.dead else one
                for one, task_id in zip(found, ids, strict=True)
            ]

    async def subscribe(self) -> ResultFeed:
        self._gate.check()
        with self._store.lock:
            state = FeedState(self._store.name("feed"))
            self._store.feeds[state.channel] = state
            self._feeds.add(state)
        return MemoryFeed(self._store, state)

    async def prune(self, *, limit: int) -> int:
        self._gate.check()
        with self._store.lock:
            return self._store.ledger.retire(self._store.clock.monotonic(), limit)
