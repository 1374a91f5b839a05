"""The scheduler's edge."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from orcastra_core.backends.memory.gate import Gate
from orcastra_core.backends.memory.intake import admit
from orcastra_core.backends.memory.store import Store
from orcastra_core.interfaces.scheduler import Scheduler
from orcastra_core.model.errors import Unsupported
from orcastra_core.model.profile import Cap
from orcastra_core.model.schedule import Fired, Plan, Promotion, Schedule, ScheduleId, Tally

if TYPE_CHECKING:
    from orcastra_core.interfaces.broker import Broker

_PROMOTE_CLAIM = 30.0


class MemoryScheduler(Scheduler):
    """Schedules in the store's book; ``promote`` for the store's own broker is one step."""

    def __init__(self, store: Store, gate: Gate) -> None:
        self._store = store
        self._gate = gate

    def serves(self, store: Store) -> bool:
        """Whether this scheduler's store is ``store``."""
        return self._store is store

    async def add(self, batch: Sequence[Schedule], /) -> None:
        self._check()
        with self._store.lock:
            for schedule in batch:
                before = self._store.next_due()
                self._store.schedules.add(schedule)
                self._tell(before)

    async def remove(self, ids: Sequence[ScheduleId], /) -> Sequence[bool]:
        self._check()
        with self._store.lock:
            return [self._store.schedules.remove(schedule_id) for schedule_id in ids]

    async def get(self, ids: Sequence[ScheduleId], /) -> Sequence[Schedule | None]:
        self._check()
        with self._store.lock:
            return [self._store.schedules.get(schedule_id) for schedule_id in ids]

    async def page(self, *, after: ScheduleId | None = None, limit: int = 100) -> Sequence[Schedule]:
        self._check()
        with self._store.lock:
            return self._store.schedules.page(after, limit)

    async def claim(self, *, limit: int, lease: float) -> tuple[float, Sequence[Schedule]]:
        self._check()
        with self._store.lock:
            now = self._store.clock.now()
            return now, self._store.schedules.claim(now, limit, lease)

    async def settle(self, batch: Sequence[Fired], /) -> Sequence[bool]:
        self._check()
        with self._store.lock:
            before = self._store.next_due()
            moved = [self._store.schedules.settle(fired) for fired in batch]
            self._tell(before)
            return moved

    async def next_in(self) -> float | None:
        self._gate.check()
        with self._store.lock:
            return self._next_in()

    async def promote(self, broker: Broker, /, *, limit: int, plan: Plan) -> Promotion:
        self._gate.check()
        own = broker.scheduler
        if not isinstance(own, MemoryScheduler) or not own.serves(self._store):
            return await super().promote(broker, limit=limit, plan=plan)
        store = self._store
        tally = Tally()
        with store.lock:
            tally.done = store.promote(limit)
            now = store.clock.now()
            for schedule in store.schedules.claim(now, limit, _PROMOTE_CLAIM):
                firing = plan(schedule, now)
                settled = tally.take(schedule, firing, admit(store, firing.publish), now)
                if settled is not None:
                    store.schedules.settle(settled)
            return tally.promotion(self._next_in())

    def _next_in(self) -> float | None:
        moment = self._store.next_due()
        return None if moment is None else max(0.0, moment - self._store.clock.now())

    def _tell(self, before: float | None) -> None:
        after = self._store.next_due()
        if after is not None:
            self._store.tell_due_soon(after, before)

    def _check(self) -> None:
        self._gate.check()
        if Cap.SCHEDULES in self._store.without:
            raise Unsupported(Cap.SCHEDULES)
