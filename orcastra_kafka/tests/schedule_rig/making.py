"""Schedules, each as plain as it can be."""

from __future__ import annotations

import time
from typing import Any

from server_rig import make

from orcastra_core.model.schedule import Schedule, ScheduleId
from orcastra_core.plugins import parse_trigger
from orcastra_core.runtime.plan import make_plan

PLAN = make_plan(parse_trigger)
"""The runtime's own."""


def due(seconds: float = -1.0) -> float:
    """Return the moment so many seconds from now."""
    return time.time() + seconds


def deferred(seconds: float = -1.0, **fields: Any) -> Schedule:
    """Return a schedule that publishes a task once, so many seconds from now."""
    envelope = make.envelope(**fields)
    return Schedule(ScheduleId(envelope.id), due(seconds), envelope)


def recurring(name: str, seconds: float = -1.0, **fields: Any) -> Schedule:
    """Return a schedule that fires every minute, the first time so many seconds from now."""
    return Schedule(ScheduleId(name), due(seconds), make.envelope(), "interval:60", **fields)
