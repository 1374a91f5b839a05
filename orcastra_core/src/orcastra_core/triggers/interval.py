"""Ticks at even distances."""

from __future__ import annotations

import math
from datetime import datetime, timedelta

import attrs

from orcastra_core.model.errors import InvalidOption
from orcastra_core.triggers import moments

_SHORTEST = 0.001


def _seconds(value: object) -> float:
    if isinstance(value, timedelta):
        value = value.total_seconds()
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise InvalidOption(f"Interval: {value!r} is not a number of seconds; for example Interval(30)")
    try:
        timedelta(seconds=value)
    except OverflowError:
        raise InvalidOption(f"Interval: {value!r} seconds are too long; for example Interval(86400)") from None
    if value < _SHORTEST:
        raise InvalidOption(
            f"Interval: {value!r} seconds are too short, at least {_SHORTEST}; for example Interval(30)"
        )
    return float(value)


def _anchor(value: object) -> datetime:
    return moments.aware("Interval(anchor)", value)


@attrs.frozen
class Interval:
    """Fires every ``seconds`` from ``anchor`` on, whatever the wall clock does.

    Ticks are reckoned from the anchor, not from the last one, so they neither
    drift nor depend on when the schedule was added.

    Attributes:
        seconds: The distance, a number of at least 0.001 or a timedelta; rounded to microseconds.
        anchor: The first tick, an aware datetime; the Unix epoch unless given.
    """

    seconds: float = attrs.field(converter=_seconds)
    anchor: datetime = attrs.field(default=moments.EPOCH, converter=_anchor)

    @classmethod
    def parse(cls, text: str) -> Interval:
        """Read ``30`` or ``30 2027-01-01T00:00:00+00:00``. Raises InvalidOption."""
        number, _, anchor = text.strip().partition(" ")
        try:
            seconds = float(number)
        except ValueError:
            raise InvalidOption(f"interval: {number!r} is not a number of seconds; for example interval:30") from None
        return cls(seconds, moments.read("interval", anchor.strip())) if anchor else cls(seconds)

    def next_after(self, moment: datetime, /) -> datetime | None:
        """Return the first tick strictly after the aware ``moment``; None beyond the year 9999."""
        anchor, after = moments.instant(self.anchor), moments.instant(moment)
        if after < anchor:
            return anchor
        step = timedelta(seconds=self.seconds)
        try:
            return anchor + ((after - anchor) // step + 1) * step
        except OverflowError:
            return None

    def __str__(self) -> str:
        number = repr(self.seconds).removesuffix(".0")
        return number if self.anchor == moments.EPOCH else f"{number} {self.anchor.isoformat()}"
