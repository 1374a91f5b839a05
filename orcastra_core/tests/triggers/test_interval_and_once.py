"""Interval and Once."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orcastra_core.interfaces.trigger import Trigger
from orcastra_core.model.errors import InvalidOption
from orcastra_core.triggers import Interval, Once

bounded = settings(max_examples=150, deadline=None, derandomize=True)
moments = st.datetimes(datetime(1900, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC))
MOMENT = datetime(2026, 1, 1, 12, tzinfo=UTC)


def test_they_are_triggers() -> None:
    assert isinstance(Interval(30), Trigger)
    assert isinstance(Once(MOMENT), Trigger)


def test_ticks_are_reckoned_from_the_anchor() -> None:
    every = Interval(90, MOMENT)
    assert every.next_after(MOMENT - timedelta(days=1)) == MOMENT
    assert every.next_after(MOMENT) == MOMENT + timedelta(seconds=90)
    assert every.next_after(MOMENT + timedelta(seconds=89.999999)) == MOMENT + timedelta(seconds=90)
    assert every.next_after(MOMENT + timedelta(seconds=90)) == MOMENT + timedelta(seconds=180)
    assert Interval(60).next_after(MOMENT + timedelta(seconds=1)) == MOMENT + timedelta(seconds=60)


@bounded
@given(st.floats(0.001, 1e6) | st.integers(1, 10**6), moments, moments)
def test_a_tick_is_the_first_one_after(seconds: float, anchor: datetime, moment: datetime) -> None:
    every = Interval(seconds, anchor)
    step = timedelta(seconds=seconds)
    tick = every.next_after(moment)
    assert tick is not None
    assert tick > moment
    assert (tick - anchor) % step == timedelta(0)
    assert tick == anchor or tick - step <= moment
    assert every.next_after(moment.astimezone(timezone(timedelta(hours=5)))) == tick
    assert Interval.parse(str(every)) == every


def test_no_tick_after_the_end_of_the_calendar() -> None:
    assert Interval(86400).next_after(datetime(9999, 12, 31, 12, tzinfo=UTC)) is None


@pytest.mark.parametrize(
    "interval, text",
    [
        (Interval(30), "30"),
        (Interval(0.5), "0.5"),
        (Interval(timedelta(minutes=5)), "300"),
        (Interval(30, MOMENT), "30 2026-01-01T12:00:00+00:00"),
    ],
)
def test_the_text_of_an_interval(interval: Interval, text: str) -> None:
    assert str(interval) == text
    assert Interval.parse(f" {text} ") == interval


@pytest.mark.parametrize(
    "seconds, message",
    [
        (0, "too short, at least 0.001; for example"),
        (-5, "too short"),
        (0.0001, "too short"),
        (float("nan"), "is not a number of seconds"),
        (float("inf"), "is not a number of seconds"),
        ("30", "'30' is not a number of seconds; for example"),
        (True, "True is not a number of seconds"),
        (1e300, "too long"),
    ],
)
def test_intervals_that_are_refused(seconds: Any, message: str) -> None:
    with pytest.raises(InvalidOption, match=message):
        Interval(seconds)


@pytest.mark.parametrize("text", ["", "often", "30 soon", "30 2026-01-01T00:00:00", "0", "nan", "1e400"])
def test_texts_of_intervals_that_are_refused(text: str) -> None:
    with pytest.raises(InvalidOption, match="for example"):
        Interval.parse(text)


def test_naive_moments_are_refused() -> None:
    naive = datetime(2026, 1, 1)
    for refused in (lambda: Interval(30, naive), lambda: Once(naive)):
        with pytest.raises(InvalidOption, match=r"has no time zone; for example 2026-01-01T00:00:00\+00:00"):
            refused()
    for trigger in (Interval(30), Once(MOMENT)):
        with pytest.raises(InvalidOption, match=r"moment: .* has no time zone"):
            trigger.next_after(naive)


def test_once_fires_once() -> None:
    once = Once(MOMENT)
    assert once.next_after(MOMENT - timedelta(microseconds=1)) == MOMENT
    assert once.next_after(MOMENT) is None
    assert once.next_after(MOMENT + timedelta(days=1)) is None


def test_once_in_the_hour_that_comes_twice() -> None:
    berlin = ZoneInfo("Europe/Berlin")
    first, second = (datetime(2026, 10, 25, 2, 30, fold=fold, tzinfo=berlin) for fold in (0, 1))
    assert Once(second).next_after(first) == second
    assert Once(first).next_after(second) is None


@bounded
@given(moments, st.timedeltas(timedelta(hours=-12), timedelta(hours=12)))
def test_the_text_of_a_moment_is_read_back(moment: datetime, offset: timedelta) -> None:
    once = Once(moment.astimezone(timezone(offset)))
    assert Once.parse(str(once)) == once


@pytest.mark.parametrize("text", ["", "soon", "2026-01-01T00:00:00", "2026-13-01T00:00:00Z"])
def test_texts_of_moments_that_are_refused(text: str) -> None:
    with pytest.raises(InvalidOption, match="for example"):
        Once.parse(text)


def test_what_is_no_moment_is_refused() -> None:
    with pytest.raises(InvalidOption, match="expected a datetime, got str"):
        Once("2026-01-01T00:00:00Z")
