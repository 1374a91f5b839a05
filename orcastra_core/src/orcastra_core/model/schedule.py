"""What a Scheduler stores: deferred envelopes and recurring schedules."""

from __future__ import annotations

import enum
from collections.abc import Callable, Sequence
from typing import NewType, TypeAlias

import attrs

from orcastra_core.model.envelope import Envelope
from orcastra_core.model.published import Duplicate, Published, Refused, Stored, Unknown

ScheduleId = NewType("ScheduleId", str)


class Misfire(enum.Enum):
    """What to do with ticks that nobody fired in time."""

    SKIP = "skip"
    """Fire none of them, unless the last is younger than the grace."""
    ONE = "one"
    """Fire once for all of them."""
    ALL = "all"
    """Fire each, oldest first, a bounded number a round."""


@attrs.frozen
class Schedule:
    """An envelope to publish at ``due``, once or again and again.

    Attributes:
        id: Its name; adding the same id again replaces it.
        due: Its next tick, Unix seconds, judged by the store's clock.
        envelope: What to publish. A recurring schedule's firings get ids
            derived from ``id`` and the tick.
        trigger: The trigger's text form («cron:0 4 * * * Europe/Berlin»); None fires once.
        misfire: What to do with missed ticks.
        grace: Seconds by which a tick may be late without being missed.
        paused: Whether it is left alone.
    """

    id: ScheduleId
    due: float
    envelope: Envelope
    trigger: str | None = None
    misfire: Misfire = Misfire.ONE
    grace: float = 60.0
    paused: bool = False


@attrs.frozen
class Fired:
    """A tick that was dealt with: compare-and-set on ``expected_due``.

    Attributes:
        id: The schedule.
        expected_due: The ``due`` that was claimed; the settle has no effect if it is another now.
        next_due: The tick to wait for next; None removes the schedule.
    """

    id: ScheduleId
    expected_due: float
    next_due: float | None


@attrs.frozen
class Firing:
    """What a due schedule calls for at one moment: pure, from ``Plan``."""

    publish: Sequence[Envelope]
    next_due: float | None


Plan: TypeAlias = Callable[[Schedule, float], Firing]
"""From a due schedule and the store's now (Unix seconds) to what to publish and when to look again. Pure."""


@attrs.frozen
class Promotion:
    """What one ``promote`` did.

    Attributes:
        done: How many envelopes became ready or were fired.
        refused: What will never be stored, with the broker's reason: it is in no store any more.
        next_in: Seconds, by the store's clock, until something else is due; None if nothing waits.
    """

    done: int
    next_in: float | None
    refused: Sequence[tuple[Envelope, str]] = ()


PUBLISH_AGAIN = 0.25
"""Seconds until a deferred envelope is published again that got no answer, or was faster than its Moved."""


@attrs.define
class Tally:
    """Adds up what one ``promote`` does.

    Attributes:
        done: Envelopes that became ready or were fired.
        refused: What will never be stored, with the reason.
    """

    done: int = 0
    refused: list[tuple[Envelope, str]] = attrs.Factory(list)

    def take(self, schedule: Schedule, firing: Firing, answers: Sequence[Published], now: float) -> Fired | None:
        """Count a due schedule's envelopes; return how to settle it, None to leave it to the end of its claim.

        A deferred envelope without an answer comes again soon. A recurring
        schedule's tick must not move: its firings' ids follow from it.
        """
        self.done += sum(isinstance(answer, (Stored, Duplicate)) for answer in answers)
        if any(isinstance(answer, Unknown) for answer in answers):
            return Fired(schedule.id, schedule.due, now + PUBLISH_AGAIN) if schedule.trigger is None else None
        self.refused += [(e, a.why) for e, a in zip(firing.publish, answers, strict=True) if isinstance(a, Refused)]
        return Fired(schedule.id, schedule.due, firing.next_due)

    def promotion(self, next_in: float | None) -> Promotion:
        """Return the sum."""
        return Promotion(self.done, next_in, self.refused)
