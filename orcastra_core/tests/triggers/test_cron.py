"""Cron: matching wall-clock minutes, and what happens when the clocks change."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orcastra_core.interfaces.trigger import Trigger
from orcastra_core.model.errors import InvalidOption
from orcastra_core.triggers import Cron

BERLIN = ZoneInfo("Europe/Berlin")
bounded = settings(max_examples=150, deadline=None, derandomize=True)


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def ticks(cron: Cron, after: datetime, count: int) -> list[str]:
    """The next ticks, in UTC."""
    found = []
    moment: datetime | None = after
    for _ in range(count):
        assert moment is not None
        moment = cron.next_after(moment)
        assert moment is not None
        found.append(moment.astimezone(UTC).strftime("%m-%d %H:%M"))
    return found


def test_it_is_a_trigger() -> None:
    assert isinstance(Cron("* * * * *"), Trigger)


@pytest.mark.parametrize(
    "expression, after, expected",
    [
        ("*/15 * * * *", "2026-01-01T00:00:00", ["01-01 00:15", "01-01 00:30", "01-01 00:45"]),
        ("0 4 * * *", "2026-01-01T04:00:00", ["01-02 04:00", "01-03 04:00", "01-04 04:00"]),
        ("0 4 * * *", "2026-01-01T03:59:59.999999", ["01-01 04:00", "01-02 04:00", "01-03 04:00"]),
        ("0 4 * * *", "2026-01-01T04:00:00.000001", ["01-02 04:00", "01-03 04:00", "01-04 04:00"]),
        ("0 9 * * MON-FRI", "2026-01-02T10:00:00", ["01-05 09:00", "01-06 09:00", "01-07 09:00"]),
        ("0 0 L * *", "2026-01-15T00:00:00", ["01-31 00:00", "02-28 00:00", "03-31 00:00"]),
        ("0 0 13 * FRI", "2026-01-01T00:00:00", ["01-02 00:00", "01-09 00:00", "01-13 00:00"]),  # either is enough
        ("0 0 * * 1#2", "2026-01-01T00:00:00", ["01-12 00:00", "02-09 00:00", "03-09 00:00"]),
    ],
)
def test_ticks(expression: str, after: str, expected: list[str]) -> None:
    assert ticks(Cron(expression), utc(after), 3) == expected


def test_a_leap_day_and_a_day_that_never_comes() -> None:
    assert Cron("0 0 29 2 *").next_after(utc("2026-01-01T00:00:00")) == utc("2028-02-29T00:00:00")
    assert Cron("0 0 * * *").next_after(datetime(9999, 12, 31, 12, tzinfo=UTC)) is None


# Berlin: 2026-03-29 02:00 CET becomes 03:00 CEST (01:00 UTC); 2026-10-25 03:00 CEST becomes 02:00 CET (01:00 UTC).


def test_a_fixed_time_in_the_gap_fires_right_after_it() -> None:
    cron = Cron("30 2 * * *", "Europe/Berlin")
    assert ticks(cron, utc("2026-03-28T00:00:00"), 3) == ["03-28 01:30", "03-29 01:00", "03-30 00:30"]
    (tick,) = [cron.next_after(utc("2026-03-29T00:59:59"))]
    assert tick is not None
    assert tick.isoformat() == "2026-03-29T03:00:00+02:00"


def test_two_times_in_the_gap_fire_once() -> None:
    cron = Cron("0,30 2 * * *", "Europe/Berlin")
    assert ticks(cron, utc("2026-03-29T00:30:00"), 3) == ["03-29 01:00", "03-30 00:00", "03-30 00:30"]


def test_a_fixed_time_in_the_hour_that_comes_twice_fires_the_first_time() -> None:
    cron = Cron("30 2 * * *", "Europe/Berlin")
    assert ticks(cron, utc("2026-10-24T12:00:00"), 2) == ["10-25 00:30", "10-26 01:30"]
    # from within the second pass, before 02:30 by the wall clock: what it would name is over
    assert ticks(cron, utc("2026-10-25T01:10:00"), 1) == ["10-26 01:30"]
    assert ticks(cron, utc("2026-10-25T00:30:00"), 1) == ["10-26 01:30"]


def test_every_hour_follows_elapsed_time() -> None:
    hourly = Cron("30 * * * *", "Europe/Berlin")
    assert ticks(hourly, utc("2026-10-24T23:00:00"), 4) == ["10-24 23:30", "10-25 00:30", "10-25 01:30", "10-25 02:30"]
    assert ticks(hourly, utc("2026-03-28T23:45:00"), 3) == ["03-29 00:30", "03-29 01:30", "03-29 02:30"]


def test_every_quarter_has_no_hole_and_no_double_on_either_day() -> None:
    cron = Cron("*/15 * * * *", "Europe/Berlin")
    for day in ("2026-03-29", "2026-10-25"):
        moment = utc(f"{day}T00:00:00")
        for _ in range(12):
            tick = cron.next_after(moment)
            assert tick is not None
            assert tick.astimezone(UTC) == moment.astimezone(UTC) + timedelta(minutes=15)
            moment = tick


@pytest.mark.parametrize("day", ["2026-04-05", "2026-10-04"])
def test_clocks_that_change_by_half_an_hour_cost_no_tick(day: str) -> None:
    cron = Cron("*/10 5 * * *", "Australia/Lord_Howe")
    moment = datetime.fromisoformat(f"{day}T00:00:00").replace(tzinfo=ZoneInfo("Australia/Lord_Howe"))
    found = []
    for _ in range(6):
        tick = cron.next_after(moment)
        assert tick is not None
        moment = tick
        found.append(tick.strftime("%Y-%m-%d %H:%M"))
    assert found == [f"{day} 05:{minute:02}" for minute in range(0, 60, 10)]


@pytest.mark.parametrize("zone", ["Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Beirut", "UTC"])
@pytest.mark.parametrize("expression", ["*/10 1-3 * * *", "7 * * * SUN", "* 0 29 3 *", "*/30 2 25 10 *"])
def test_ticks_are_the_instants_at_which_the_wall_clock_matches(expression: str, zone: str) -> None:
    """Against the plainest possible reckoning: look at every minute of the weeks in which clocks change."""
    minutes, hours, days, months, weekdays = expression.split()
    starts = {"*": 1, "*/10": 10, "*/30": 30}
    for begin in ("2026-03-06", "2026-03-27", "2026-04-03", "2026-10-02", "2026-10-23", "2026-10-30"):
        moment, end = utc(begin), utc(begin) + timedelta(days=4)
        expected = []
        at = moment
        while (at := at + timedelta(minutes=1)) < end:
            wall = at.astimezone(ZoneInfo(zone))
            if (
                (wall.minute % starts[minutes] == 0 if minutes in starts else wall.minute == int(minutes))
                and (hours == "*" or (1 <= wall.hour <= 3 if hours == "1-3" else wall.hour == int(hours)))
                and days in ("*", str(wall.day))
                and months in ("*", str(wall.month))
                and (weekdays == "*" or wall.weekday() == 6)
            ):
                expected.append(at)
        found = []
        tick: datetime | None = moment
        while tick is not None and (tick := Cron(expression, zone).next_after(tick)) is not None and tick < end:
            found.append(tick.astimezone(UTC))
        assert found == expected


def test_a_day_that_begins_in_a_gap() -> None:
    # Beirut, 2026-03-29: midnight becomes 01:00.
    cron = Cron("0 0 * * *", "Asia/Beirut")
    assert ticks(cron, utc("2026-03-27T23:00:00"), 3) == ["03-28 22:00", "03-29 21:00", "03-30 21:00"]


expressions = st.sampled_from(
    [
        "* * * * *",
        "*/7 * * * *",
        "30 * * * *",
        "30 2 * * *",
        "0 0 * * *",
        "15 1-3 * * *",
        "0 3 29 3 *",
        "*/20 2 * * *",
        "5 */3 * * SUN",
    ]
)
zones = st.sampled_from(
    ["UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kolkata", "Asia/Beirut"]
)
moments = st.datetimes(datetime(2020, 1, 1), datetime(2030, 1, 1)).map(lambda m: m.replace(tzinfo=UTC))
changes = st.integers(-200, 200).flatmap(
    lambda minutes: st.sampled_from([utc("2026-03-29T01:00:00"), utc("2026-10-25T01:00:00")]).map(
        lambda change: change + timedelta(minutes=minutes)
    )
)


@bounded
@given(expressions, zones, moments | changes)
def test_a_tick_is_later_and_nothing_is_skipped(expression: str, zone: str, moment: datetime) -> None:
    cron = Cron(expression, zone)
    tick = cron.next_after(moment)
    assert tick is not None
    assert tick.astimezone(UTC) > moment
    assert tick.second == tick.microsecond == 0
    assert tick.astimezone(UTC).astimezone(ZoneInfo(zone)).isoformat() == tick.isoformat()  # a time that exists
    # from anywhere before it, it is still the next one
    for part in (0.3, 0.9):
        between = moment + (tick - moment) * part
        assert cron.next_after(between) == tick
    # the same moment in another zone is the same moment
    assert cron.next_after(moment.astimezone(timezone(timedelta(hours=-9)))) == tick


@bounded
@given(expressions, zones)
def test_its_text_is_read_back(expression: str, zone: str) -> None:
    cron = Cron(expression, zone)
    assert Cron.parse(str(cron)) == cron


def test_parse() -> None:
    assert Cron.parse("0 4 * * * Europe/Berlin") == Cron("0 4 * * *", "Europe/Berlin")
    assert Cron.parse(" 0  4 * * * ") == Cron("0 4 * * *", "UTC")
    assert str(Cron("0  4 * * *", BERLIN)) == "0 4 * * * Europe/Berlin"


@pytest.mark.parametrize(
    "args, message",
    [
        (("0 4 * *",), r"Cron: '0 4 \* \*' has 4 fields instead of 5"),
        (("0 0 4 * * *",), "has 6 fields instead of 5"),
        (("",), "has 0 fields instead of 5"),
        (("60 4 * * *",), "bad minute; for example Cron"),
        (("0 25 * * *",), "bad hour"),
        (("0 4 31 2 *",), "bad day-of-month"),
        (("0 4 * * NEVER",), "bad day-of-week"),
        ((7,), "7 is not a cron expression"),
        (("0 4 * * *", "Mars/Olympus"), "no time zone 'Mars/Olympus' is known here"),
        (("0 4 * * *", "../etc/passwd"), "no time zone"),
        (("0 4 * * *", "Europe"), "no time zone 'Europe'"),
        (("0 4 * * *", 7), "7 is not the name of a time zone"),
        (("0 4 * * *", ""), "'' is not the name of a time zone"),
    ],
)
def test_what_is_refused(args: Any, message: str) -> None:
    with pytest.raises(InvalidOption, match=message):
        Cron(*args)


@pytest.mark.parametrize("text", ["", "0 4 * *", "0 4 * * * Mars/Olympus", "0 4 * * * Europe/Berlin more"])
def test_text_that_is_refused(text: str) -> None:
    with pytest.raises(InvalidOption, match="for example"):
        Cron.parse(text)


def test_a_naive_moment_is_refused() -> None:
    with pytest.raises(InvalidOption, match="has no time zone"):
        Cron("* * * * *").next_after(datetime(2026, 1, 1))
