"""Schedules as users write them."""

from __future__ import annotations

from datetime import UTC, datetime

import attrs

from orcastra_core.app.options import SubmitOptions
from orcastra_core.interfaces.trigger import Trigger
from orcastra_core.model.envelope import Envelope
from orcastra_core.model.errors import InvalidOption
from orcastra_core.model.names import check_name
from orcastra_core.model.schedule import Misfire, Schedule, ScheduleId
from orcastra_core.runtime.task_spec import check_seconds


def check_schedule(schedule_id: str, options: SubmitOptions, misfire: Misfire) -> None:
    """Raise InvalidOption or InvalidName for what no schedule can have."""
    check_name("schedule", schedule_id)
    if options.bound_in_time:
        raise InvalidOption(
            f"schedule {schedule_id!r}: its trigger says when: delay, at and expires have no place here"
        )
    if not isinstance(misfire, Misfire):
        raise InvalidOption(f"misfire={misfire!r}: expected Misfire.SKIP, ONE or ALL")


def first_schedule(
    schedule_id: str, envelope: Envelope, trigger: Trigger | str, misfire: Misfire, grace: float, now: float
) -> Schedule:
    """Return a schedule whose next tick is the first after ``now``, Unix seconds. Raises InvalidOption."""
    # plugins are imported by those who need them
    from orcastra_core.plugins import parse_trigger, trigger_text

    text = trigger if isinstance(trigger, str) else trigger_text(trigger)
    first = parse_trigger(text).next_after(datetime.fromtimestamp(now, UTC))
    if first is None:
        raise InvalidOption(f"trigger {text!r} has no tick left")
    envelope = attrs.evolve(envelope, reply=None, due=None)
    return Schedule(ScheduleId(schedule_id), first.timestamp(), envelope, text, misfire, check_seconds("grace", grace))
