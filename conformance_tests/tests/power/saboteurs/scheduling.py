"""Faults in schedules."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import attrs
import pytest

from orcastra_conformance.engine.steps import turns
from orcastra_core.backends.memory import schedule_book
from orcastra_core.backends.memory.schedule_book import ScheduleBook
from orcastra_core.backends.memory.scheduler import MemoryScheduler
from orcastra_core.backends.memory.store import Store
from orcastra_core.model.envelope import NO_HEADERS
from orcastra_core.model.ids import IdFactory
from orcastra_core.model.schedule import Fired, Firing, Misfire, Plan, Promotion, Schedule, ScheduleId
from power.saboteur import saboteur

if TYPE_CHECKING:
    from orcastra_core.interfaces.broker import Broker


def _plan_otherwise(patch: pytest.MonkeyPatch, change: Callable[[Firing], Firing]) -> None:
    promote = MemoryScheduler.promote

    async def changed(self: MemoryScheduler, broker: Broker, /, *, limit: int, plan: Plan) -> Promotion:
        return await promote(self, broker, limit=limit, plan=lambda schedule, now: change(plan(schedule, now)))

    patch.setattr(MemoryScheduler, "promote", changed)


def _store_otherwise(patch: pytest.MonkeyPatch, change: Callable[[Schedule], Schedule]) -> None:
    add = ScheduleBook.add
    patch.setattr(ScheduleBook, "add", lambda self, schedule: add(self, change(schedule)))


@saboteur(
    "fires-without-claim",
    "looks what is due, fires it under ids of its own, and moves it on in a second step",
    killed_by=("sch.once-of-five",),
)
def _(patch: pytest.MonkeyPatch) -> None:
    new_id = IdFactory()

    async def promote(self: MemoryScheduler, broker: Broker, /, *, limit: int, plan: Plan) -> Promotion:
        book, now = self._store.schedules, self._store.clock.now()
        due = [schedule for schedule in book.page(None, limit) if schedule.due <= now]
        await turns(1)
        for schedule in due:
            firing = plan(schedule, now)
            await broker.publish([attrs.evolve(envelope, id=new_id()) for envelope in firing.publish])
            book.settle(Fired(schedule.id, schedule.due, firing.next_due))
        return Promotion(len(due), None)

    patch.setattr(MemoryScheduler, "promote", promote)


@saboteur(
    "fires-again-and-again",
    "fires what is due and does not move it on",
    killed_by=("sch.once-of-five", "sch.promote-atomic"),
)
def _(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(ScheduleBook, "settle", lambda self, fired: self.get(fired.id) is not None)


@saboteur(
    "keeps-what-fired-once",
    "keeps a deferred envelope that was fired",
    killed_by=("sch.fires-once", "sch.compare-and-set"),
)
def _(patch: pytest.MonkeyPatch) -> None:
    settle = ScheduleBook.settle

    def kept(self: ScheduleBook, fired: Fired) -> bool:
        return settle(self, attrs.evolve(fired, next_due=fired.next_due or fired.expected_due + 86400.0))

    patch.setattr(ScheduleBook, "settle", kept)


@saboteur("renames-what-it-fires", "fires a deferred envelope under a new id", killed_by=("sch.fires-once",))
def _(patch: pytest.MonkeyPatch) -> None:
    new_id = IdFactory()
    _plan_otherwise(
        patch, lambda f: Firing([attrs.evolve(envelope, id=new_id()) for envelope in f.publish], f.next_due)
    )


@saboteur("knows-no-next", "does not say when something is due next", killed_by=("sch.fires-once",))
def _(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(MemoryScheduler, "_next_in", lambda self: None)


@saboteur(
    "says-when-not-how-long",
    "tells the moment of the next tick for the seconds until it",
    killed_by=("sch.fires-once",),
)
def _(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(MemoryScheduler, "_next_in", lambda self: self._store.next_due())


@saboteur(
    "every-start-is-new",
    "replaces a schedule that was added before, changed or not",
    killed_by=("sch.idempotent-add",),
)
def _(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(schedule_book, "_same", lambda old, new: False)


@saboteur(
    "first-add-wins",
    "does not replace a schedule that was added before",
    killed_by=("sch.idempotent-add", "sch.paused"),
)
def _(patch: pytest.MonkeyPatch) -> None:
    add = ScheduleBook.add

    def once(self: ScheduleBook, schedule: Schedule) -> None:
        if self.get(schedule.id) is None:
            add(self, schedule)

    patch.setattr(ScheduleBook, "add", once)


@saboteur(
    "compares-triggers-alone",
    "keeps the due of a schedule whose arguments have changed",
    killed_by=("sch.idempotent-add",),
)
def _(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(schedule_book, "_same", lambda old, new: old.trigger == new.trigger)


@saboteur("sets-without-comparing", "moves a tick that somebody else has moved", killed_by=("sch.compare-and-set",))
def _(patch: pytest.MonkeyPatch) -> None:
    settle = ScheduleBook.settle

    def blind(self: ScheduleBook, fired: Fired) -> bool:
        stored = self.get(fired.id)
        return stored is not None and settle(self, attrs.evolve(fired, expected_due=stored.due))

    patch.setattr(ScheduleBook, "settle", blind)


def _claim_otherwise(patch: pytest.MonkeyPatch, *, limit: int | None = None, lease: float | None = None) -> None:
    claim = ScheduleBook.claim

    def claimed(self: ScheduleBook, now: float, most: int, seconds: float) -> list[Schedule]:
        return claim(self, now, most if limit is None else limit, seconds if lease is None else lease)

    patch.setattr(ScheduleBook, "claim", claimed)


@saboteur("claims-nothing", "shows what is due to whoever asks", killed_by=("sch.claim",))
def _(patch: pytest.MonkeyPatch) -> None:
    _claim_otherwise(patch, lease=0.0)


@saboteur("claims-for-ever", "does not give up a claim whose holder died", killed_by=("sch.claim",))
def _(patch: pytest.MonkeyPatch) -> None:
    _claim_otherwise(patch, lease=1e9)


@saboteur("claims-without-limit", "claims all that is due", killed_by=("sch.claim",))
def _(patch: pytest.MonkeyPatch) -> None:
    _claim_otherwise(patch, limit=2**31)


@saboteur("claims-the-latest", "claims what became due last before what waits longest", killed_by=("sch.claim",))
def _(patch: pytest.MonkeyPatch) -> None:
    claim = ScheduleBook.claim
    patch.setattr(ScheduleBook, "claim", lambda self, now, limit, lease: claim(self, now, limit, lease)[::-1])


@saboteur("removes-anything", "says that it removed what never was", killed_by=("sch.page-and-remove",))
def _(patch: pytest.MonkeyPatch) -> None:
    remove = ScheduleBook.remove

    def sure(self: ScheduleBook, schedule_id: ScheduleId) -> bool:
        remove(self, schedule_id)
        return True

    patch.setattr(ScheduleBook, "remove", sure)


@saboteur(
    "fires-what-was-removed", "fires a schedule once more after it was removed", killed_by=("sch.page-and-remove",)
)
def _(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(ScheduleBook, "remove", lambda self, schedule_id: self._lines.pop(schedule_id, None) is not None)


@saboteur("pages-as-added", "pages through schedules in the order they were added", killed_by=("sch.page-and-remove",))
def _(patch: pytest.MonkeyPatch) -> None:
    def page(self: ScheduleBook, after: ScheduleId | None, limit: int) -> list[Schedule]:
        return [line.schedule for name, line in self._lines.items() if after is None or name > after][:limit]

    patch.setattr(ScheduleBook, "page", page)


@saboteur("one-misfire-policy", "stores a schedule without its misfire policy", killed_by=("sch.stored-whole",))
def _(patch: pytest.MonkeyPatch) -> None:
    _store_otherwise(patch, lambda s: attrs.evolve(s, misfire=Misfire.ONE))


@saboteur(
    "schedules-the-bare-body", "stores a schedule's envelope without its headers", killed_by=("sch.stored-whole",)
)
def _(patch: pytest.MonkeyPatch) -> None:
    _store_otherwise(patch, lambda s: attrs.evolve(s, envelope=attrs.evolve(s.envelope, headers=NO_HEADERS)))


@saboteur(
    "due-in-local-time",
    "stores due moments as local time without a zone",
    killed_by=("sch.stored-whole", "sch.fires-once"),
)
def _(patch: pytest.MonkeyPatch) -> None:
    _store_otherwise(patch, lambda s: attrs.evolve(s, due=s.due + 3600.0))


@saboteur("fires-the-paused", "does not look whether a schedule is paused", killed_by=("sch.paused",))
def _(patch: pytest.MonkeyPatch) -> None:
    _store_otherwise(patch, lambda s: attrs.evolve(s, paused=False))


@saboteur("waits-for-the-paused", "counts a paused schedule among those that are due next", killed_by=("sch.paused",))
def _(patch: pytest.MonkeyPatch) -> None:
    def next_due(self: Store) -> float | None:
        return min((schedule.due for schedule in self.schedules.page(None, 1000)), default=None)

    patch.setattr(Store, "next_due", next_due)


@saboteur(
    "moves-on-then-fires",
    "moves a schedule on, and publishes its tick in a second step that a cancelled call never reaches",
    killed_by=("sch.promote-atomic",),
)
def _(patch: pytest.MonkeyPatch) -> None:
    async def promote(self: MemoryScheduler, broker: Broker, /, *, limit: int, plan: Plan) -> Promotion:
        book, now, done = self._store.schedules, self._store.clock.now(), 0
        for schedule in book.claim(now, limit, 30.0):
            firing = plan(schedule, now)
            book.settle(Fired(schedule.id, schedule.due, firing.next_due))
            await turns(1)
            await broker.publish(firing.publish)
            done += len(firing.publish)
        return Promotion(done, None)

    patch.setattr(MemoryScheduler, "promote", promote)


@saboteur("fires-one-for-all", "publishes the first of what a plan calls for", killed_by=("sch.misfire-is-the-plans",))
def _(patch: pytest.MonkeyPatch) -> None:
    _plan_otherwise(patch, lambda firing: Firing(firing.publish[:1], firing.next_due))


@saboteur(
    "skips-what-was-missed",
    "moves on to a tick that is to come, whatever the plan says",
    killed_by=("sch.misfire-is-the-plans",),
)
def _(patch: pytest.MonkeyPatch) -> None:
    _plan_otherwise(patch, lambda firing: Firing(firing.publish, firing.next_due and firing.next_due + 86400.0))


@saboteur(
    "plans-from-now", "asks the plan about now, not about the tick that is due", killed_by=("sch.misfire-is-the-plans",)
)
def _(patch: pytest.MonkeyPatch) -> None:
    promote = MemoryScheduler.promote

    async def late(self: MemoryScheduler, broker: Broker, /, *, limit: int, plan: Plan) -> Promotion:
        def of_now(schedule: Schedule, now: float) -> Firing:
            return plan(attrs.evolve(schedule, due=now), now)

        return await promote(self, broker, limit=limit, plan=of_now)

    patch.setattr(MemoryScheduler, "promote", late)
