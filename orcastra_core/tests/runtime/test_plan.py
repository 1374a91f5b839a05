"""What a due schedule calls for: the misfire policies."""

from __future__ import annotations

from datetime import UTC, datetime

import attrs
import pytest

from orcastra_core.interfaces.trigger import Trigger
from orcastra_core.model.envelope import Envelope
from orcastra_core.model.ids import IdFactory
from orcastra_core.model.names import QueueName, TaskName
from orcastra_core.model.schedule import Firing, Misfire, Schedule, ScheduleId
from orcastra_core.plugins.triggers import parse_trigger, trigger_text
from orcastra_core.runtime.plan import CATCH_UP, make_plan
from orcastra_core.triggers import Cron, Interval, Once

HOUR = 3600.0
FIRST = datetime(2026, 3, 1, 0, tzinfo=UTC).timestamp()
ENVELOPE = Envelope(IdFactory()(), QueueName("q"), TaskName("t"), b"body", reply=None, headers={"x-a-b": 1})
plan = make_plan(parse_trigger)


def schedule(misfire: Misfire = Misfire.ONE, grace: float = 60.0, trigger: str | None = "interval:3600") -> Schedule:
    return Schedule(ScheduleId("s"), FIRST, ENVELOPE, trigger, misfire, grace)


def ticks(firing: Firing) -> list[float]:
    moments = []
    for envelope in firing.publish:
        assert envelope.submitted_at is not None
        moments.append(envelope.submitted_at)
    return moments


@pytest.mark.parametrize("misfire", list(Misfire))
def test_in_time_all_policies_agree(misfire: Misfire) -> None:
    firing = plan(schedule(misfire), FIRST + 1)
    assert ticks(firing) == [FIRST]
    assert firing.next_due == FIRST + HOUR


def test_one_for_all_that_was_missed() -> None:
    firing = plan(schedule(Misfire.ONE), FIRST + 5.5 * HOUR)
    assert ticks(firing) == [FIRST]
    assert firing.next_due == FIRST + 6 * HOUR


def test_skip_what_was_missed() -> None:
    firing = plan(schedule(Misfire.SKIP), FIRST + 5.5 * HOUR)
    assert ticks(firing) == []
    assert firing.next_due == FIRST + 6 * HOUR


def test_skip_still_fires_a_tick_within_the_grace() -> None:
    firing = plan(schedule(Misfire.SKIP), FIRST + 5 * HOUR + 30)
    assert ticks(firing) == [FIRST + 5 * HOUR]
    assert firing.next_due == FIRST + 6 * HOUR
    late = plan(schedule(Misfire.SKIP), FIRST + 5 * HOUR + 61)
    assert ticks(late) == []


def test_all_that_was_missed_oldest_first() -> None:
    firing = plan(schedule(Misfire.ALL), FIRST + 3.5 * HOUR)
    assert ticks(firing) == [FIRST + n * HOUR for n in range(4)]
    assert firing.next_due == FIRST + 4 * HOUR


def test_all_is_bounded_a_round_and_goes_on() -> None:
    now = FIRST + 250.5 * HOUR
    due: float | None = FIRST
    fired: list[float] = []
    rounds = 0
    while due is not None and due <= now:
        firing = plan(attrs.evolve(schedule(Misfire.ALL), due=due), now)
        assert len(firing.publish) <= CATCH_UP
        fired += ticks(firing)
        due = firing.next_due
        rounds += 1
    assert fired == [FIRST + n * HOUR for n in range(251)]
    assert rounds == 3
    assert due == FIRST + 251 * HOUR


@pytest.mark.parametrize("misfire", list(Misfire))
def test_the_last_tick_ends_the_schedule(misfire: Misfire) -> None:
    moment = datetime.fromtimestamp(FIRST, UTC).isoformat()
    firing = plan(schedule(misfire, trigger=f"once:{moment}"), FIRST + 1)
    assert ticks(firing) == [FIRST]
    assert firing.next_due is None


def test_ids_follow_from_schedule_and_tick() -> None:
    """Two schedulers that plan the same tick publish the same task."""
    one, other = plan(schedule(), FIRST + 1), plan(schedule(Misfire.ALL), FIRST + 2 * HOUR)
    assert one.publish[0].id == other.publish[0].id
    assert len({envelope.id for envelope in other.publish}) == 3
    named = plan(attrs.evolve(schedule(), id=ScheduleId("other")), FIRST + 1)
    assert named.publish[0].id != one.publish[0].id
    assert one.publish[0] == attrs.evolve(ENVELOPE, id=one.publish[0].id, submitted_at=FIRST)


def test_what_was_deferred_is_published_once_as_it_is() -> None:
    deferred = attrs.evolve(schedule(trigger=None), envelope=attrs.evolve(ENVELOPE, due=FIRST))
    firing = plan(deferred, FIRST + 99 * HOUR)
    assert list(firing.publish) == [ENVELOPE], "same id, due no more"
    assert firing.next_due is None


@pytest.mark.parametrize(
    "trigger", [Cron("0 4 * * *", tz="Europe/Berlin"), Interval(30), Once(datetime(2030, 1, 1, tzinfo=UTC))]
)
def test_triggers_and_their_text(trigger: Trigger) -> None:
    text = trigger_text(trigger)
    assert parse_trigger(text) == trigger
    assert trigger_text(parse_trigger(text)) == text
