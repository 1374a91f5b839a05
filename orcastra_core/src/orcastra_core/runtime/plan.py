"""What a due schedule calls for: the misfire policies. Pure."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

import attrs

from orcastra_core.interfaces.trigger import Trigger
from orcastra_core.model.envelope import Envelope
from orcastra_core.model.ids import derived_id
from orcastra_core.model.schedule import Firing, Misfire, Plan, Schedule

CATCH_UP = 100
"""Ticks that ``Misfire.ALL`` fires a round, at the most."""


def make_plan(parse: Callable[[str], Trigger]) -> Plan:
    """Return the plan for schedules whose triggers ``parse`` reads."""

    def plan(schedule: Schedule, now: float) -> Firing:
        if schedule.trigger is None:
            return Firing((attrs.evolve(schedule.envelope, due=None),), None)
        trigger = parse(schedule.trigger)
        ticks, next_due = _ticks(schedule, trigger, now)
        return Firing([_at(schedule, tick) for tick in ticks], next_due)

    return plan


def _ticks(schedule: Schedule, trigger: Trigger, now: float) -> tuple[list[float], float | None]:
    late = now - schedule.due > schedule.grace
    if schedule.misfire is Misfire.ALL:
        ticks: list[float] = []
        tick: float | None = schedule.due
        while tick is not None and tick <= now and len(ticks) < CATCH_UP:
            ticks.append(tick)
            tick = _after(trigger, tick)
        return ticks, tick
    upcoming = _after(trigger, max(now, schedule.due))
    if schedule.misfire is Misfire.ONE or not late:
        return [schedule.due], upcoming
    # SKIP: of all that was missed only a tick within the grace is still worth firing
    recent = _after(trigger, now - schedule.grace)
    return ([recent] if recent is not None and recent <= now else []), upcoming


def _after(trigger: Trigger, moment: float) -> float | None:
    following = trigger.next_after(datetime.fromtimestamp(moment, UTC))
    return None if following is None else following.timestamp()


def _at(schedule: Schedule, tick: float) -> Envelope:
    task_id = derived_id(schedule.envelope.id, schedule.id.encode(), repr(tick).encode())
    return attrs.evolve(schedule.envelope, id=task_id, due=None, submitted_at=tick)
