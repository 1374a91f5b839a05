"""Faults in schedules through their life: changed, fired by who dies, missed, and when the clocks change."""

from __future__ import annotations

from collections.abc import Callable

import attrs
import pytest

from orcastra_core.backends.memory.schedule_book import ScheduleBook
from orcastra_core.model.schedule import Fired, Misfire, Schedule
from power.saboteur import saboteur


def _change_added(patch: pytest.MonkeyPatch, change: Callable[[ScheduleBook, Schedule], Schedule]) -> None:
    """Have each schedule changed before it is stored."""
    add = ScheduleBook.add
    patch.setattr(ScheduleBook, "add", lambda self, schedule: add(self, change(self, schedule)))


@saboteur(
    "changes-from-the-next-tick",
    "lets a schedule that was changed fire once more by what it was",
    killed_by=("sch.update-and-delete",),
)
def _(patch: pytest.MonkeyPatch) -> None:
    def change(book: ScheduleBook, schedule: Schedule) -> Schedule:
        old = book.get(schedule.id)
        return schedule if old is None else attrs.evolve(schedule, due=old.due)

    _change_added(patch, change)


@saboteur(
    "moves-on-at-claim", "moves a schedule to its next tick when it is claimed", killed_by=("sch.crash-mid-fire",)
)
def _(patch: pytest.MonkeyPatch) -> None:
    claim = ScheduleBook.claim

    def hasty(self: ScheduleBook, now: float, limit: int, lease: float) -> list[Schedule]:
        claimed = claim(self, now, limit, lease)
        for schedule in claimed:
            if schedule.trigger is not None:
                self.settle(Fired(schedule.id, schedule.due, now + 60.0))
        return claimed

    patch.setattr(ScheduleBook, "claim", hasty)


@saboteur("one-for-all-missed", "fires once for all missed ticks, whatever the policy", killed_by=("sch.misfire",))
def _(patch: pytest.MonkeyPatch) -> None:
    _change_added(patch, lambda _, schedule: attrs.evolve(schedule, misfire=Misfire.ONE))


@saboteur("forgets-the-zone", "stores a cron trigger without its time zone", killed_by=("sch.dst-gap-and-fold",))
def _(patch: pytest.MonkeyPatch) -> None:
    def change(_: ScheduleBook, schedule: Schedule) -> Schedule:
        text = schedule.trigger
        return attrs.evolve(schedule, trigger=text.removesuffix(" Europe/Berlin") if text is not None else None)

    _change_added(patch, change)
