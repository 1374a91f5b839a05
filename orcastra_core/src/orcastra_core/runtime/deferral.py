"""Delay for a broker that keeps none: in the meantime a Scheduler has the task.

What is put off lies in the Scheduler under its task's id, with the counts of its
next hand-over. It is written there first and taken off the broker after that,
so between the two steps it is in both places and never in neither: a
session that dies there hands it over once more, and whatever settles it then for good
takes the Scheduler's copy back before.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence

import attrs

from orcastra_core.interfaces.broker import Broker
from orcastra_core.interfaces.clock import Clock
from orcastra_core.interfaces.results import ResultFeed, ResultStore
from orcastra_core.interfaces.scheduler import Scheduler
from orcastra_core.interfaces.session import Session
from orcastra_core.model.envelope import Envelope
from orcastra_core.model.errors import Unsupported
from orcastra_core.model.ids import TaskId
from orcastra_core.model.names import QueueName
from orcastra_core.model.result import Absence, Result
from orcastra_core.model.schedule import Schedule, ScheduleId
from orcastra_core.model.settlement import Moved, Release, Retry, Settled, Settlement
from orcastra_core.model.task_state import Cancellation, Cancelled
from orcastra_core.runtime.passing import PassingSession


def deferred(envelope: Envelope, due: float) -> Schedule:
    """Return the schedule that publishes ``envelope`` once, at ``due`` by its store's clock."""
    return Schedule(ScheduleId(envelope.id), due, attrs.evolve(envelope, due=None))


async def holds_deferred(scheduler: Scheduler, queues: Collection[QueueName]) -> bool:
    """Whether tasks of ``queues`` are put off; recurring schedules do not count."""
    after: ScheduleId | None = None
    while page := await scheduler.page(after=after, limit=500):
        if any(one.trigger is None and one.envelope.queue in queues for one in page):
            return True
        after = page[-1].id
    return False


async def cancel_with_deferred(
    broker: Broker, scheduler: Scheduler, wishes: Sequence[Cancellation]
) -> Sequence[Cancelled]:
    """Cancel tasks wherever they are, in ``broker`` or put off in ``scheduler``.

    Where ``broker`` knows nothing of a task that was put off, its result and event are
    stored as far as the broker takes them by themselves.
    """
    ids = [ScheduleId(wish.id) for wish in wishes]
    schedules = await scheduler.get(ids)
    # there first, for what comes due in between is in the broker by then
    removed = await scheduler.remove(ids)
    answers = list(await broker.cancel(wishes))
    gone: list[tuple[Cancellation, Schedule]] = []
    for n, (wish, schedule) in enumerate(zip(wishes, schedules, strict=True)):
        if removed[n] and schedule is not None and answers[n] is Cancelled.UNKNOWN:
            answers[n] = Cancelled.REMOVED
            gone.append((wish, schedule))
    if gone and broker.events is not None:
        await broker.events.append([wish.events for wish, _ in gone if wish.events])
    if gone and broker.results is not None:
        try:
            await broker.results.put([(wish.result, schedule.envelope.reply) for wish, schedule in gone])
        except Unsupported:
            pass  # whoever waits for it elsewhere gets TaskUnknown
    return answers


class DeferringSession(PassingSession):
    """A session whose delayed retries and releases go through a Scheduler; all else passes through.

    Args:
        session: Of a broker without DELAY.
        scheduler: Keeps what is put off, in any store.
        clock: Ours.
        clock_offset: Seconds the scheduler's store is ahead of it.
        on_deferred: Called whenever something was put off.
    """

    def __init__(
        self,
        session: Session,
        scheduler: Scheduler,
        clock: Clock,
        *,
        clock_offset: float = 0.0,
        on_deferred: Callable[[], None] = lambda: None,
    ) -> None:
        super().__init__(session)
        self._scheduler = scheduler
        self._clock = clock
        self._clock_offset = clock_offset
        self._on_deferred = on_deferred
        self._prepared: tuple[int, Sequence[Settlement]] = (0, ())

    async def settle(self, batch: Sequence[Settlement], /, *, number: int) -> Sequence[Settled]:
        # a repeat must not put off again what the first try has moved: it may have come due since, and run
        if self._prepared[0] != number:
            self._prepared = (number, await self._put_off(batch))
        return await super().settle(self._prepared[1], number=number)

    async def _put_off(self, batch: Sequence[Settlement]) -> Sequence[Settlement]:
        now = self._clock.now() + self._clock_offset
        schedules: list[Schedule] = []
        strays: list[ScheduleId] = []
        prepared: list[Settlement] = []
        for item in batch:
            delivery, envelope = item.delivery, item.delivery.envelope
            if isinstance(item, (Retry, Release)) and item.after > 0 and isinstance(envelope, Envelope):
                counts = delivery.counts.retried() if isinstance(item, Retry) else delivery.counts.handed_back()
                schedules.append(deferred(attrs.evolve(envelope, counts=counts), now + item.after))
                prepared.append(Moved(delivery, item.events))
                continue
            if delivery.counts.lost:
                # who held it before may have died between putting it off and moving it
                strays.append(ScheduleId(envelope.id))
            prepared.append(attrs.evolve(item, after=0.0) if isinstance(item, Release) else item)
        if strays:
            await self._scheduler.remove(strays)
        if schedules:
            await self._scheduler.add(schedules)
            self._on_deferred()
        return prepared


class DeferredResults(ResultStore):
    """Results of a broker without DELAY: what a Scheduler has is PENDING, not UNKNOWN."""

    def __init__(self, results: ResultStore, scheduler: Scheduler) -> None:
        self._results = results
        self._scheduler = scheduler

    async def get(self, ids: Sequence[TaskId], /) -> Sequence[Result | Absence]:
        answers = list(await self._results.get(ids))
        missing = [n for n, answer in enumerate(answers) if answer is Absence.UNKNOWN]
        if not missing:
            return answers
        schedules = await self._scheduler.get([ScheduleId(ids[n]) for n in missing])
        # what has come due between the two looks is in the broker now
        again = await self._results.get([ids[n] for n in missing])
        for n, schedule, answer in zip(missing, schedules, again, strict=True):
            waits = answer is Absence.UNKNOWN and schedule is not None
            answers[n] = Absence.PENDING if waits else answer
        return answers

    async def subscribe(self) -> ResultFeed:
        return await self._results.subscribe()

    async def prune(self, *, limit: int) -> int:
        return await self._results.prune(limit=limit)
