"""Wall-clock ticks, by cronsim."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, tzinfo
from functools import lru_cache
from zoneinfo import ZoneInfo

import attrs
from cronsim import CronSim, CronSimError

from orcastra_core.model.errors import InvalidOption
from orcastra_core.triggers import moments

_SECOND, _DAY = timedelta(seconds=1), timedelta(days=1)
_EXAMPLE = "for example Cron('0 4 * * *', tz='Europe/Berlin')"


@lru_cache(maxsize=256)
def _zone(name: str) -> tzinfo:
    if name == "UTC":
        return UTC
    try:
        return ZoneInfo(name)
    except (ValueError, OSError, LookupError):
        raise InvalidOption(
            f"Cron: no time zone {name!r} is known here (a machine without zone data needs `pip install tzdata`); "
            f"{_EXAMPLE}"
        ) from None


def _expression(value: object) -> str:
    if not isinstance(value, str):
        raise InvalidOption(f"Cron: {value!r} is not a cron expression; {_EXAMPLE}")
    fields = value.split()
    if len(fields) != 5:
        raise InvalidOption(
            f"Cron: {value!r} has {len(fields)} fields instead of 5 (minute hour day month weekday); {_EXAMPLE}"
        )
    expression = " ".join(fields)
    try:
        CronSim(expression, moments.EPOCH)
    except CronSimError as error:
        raise InvalidOption(f"Cron: {value!r}: {str(error).lower()}; {_EXAMPLE}") from None
    return expression


def _zone_name(value: object) -> str:
    name = value.key if isinstance(value, ZoneInfo) else value
    if not isinstance(name, str) or not name:
        raise InvalidOption(f"Cron: {value!r} is not the name of a time zone; {_EXAMPLE}")
    _zone(name)
    return name


@attrs.frozen
class Cron:
    """Fires when the wall clock of a time zone matches a cron expression.

    Five fields: minute, hour, day of month, month, weekday, with lists, ranges,
    steps, names, ``L`` (last day), ``LW`` (last weekday), ``5L`` (last Friday) and
    ``1#2`` (second Monday). Days follow Debian's cron: if both the day of month and the weekday
    are restricted, either is enough.

    When the clocks change, also as Debian's cron does it: a tick at a fixed
    hour and minute that falls into the gap fires right after it; one in the
    hour that comes twice fires the first time only. If minute or hour begins with
    ``*`` the ticks follow elapsed time: none in the gap, both in the hour that comes twice.

    Attributes:
        expression: InvalidOption if it has not five good fields.
        tz: An IANA name, or a ZoneInfo. InvalidOption if this machine does not know it.
    """

    expression: str = attrs.field(converter=_expression)
    tz: str = attrs.field(default="UTC", converter=_zone_name)

    @classmethod
    def parse(cls, text: str) -> Cron:
        """Read ``0 4 * * *`` or ``0 4 * * * Europe/Berlin``. Raises InvalidOption."""
        fields = text.split()
        if len(fields) == 6:
            return cls(" ".join(fields[:5]), fields[5])
        return cls(text)

    def next_after(self, moment: datetime, /) -> datetime | None:
        """Return the first tick strictly after the aware ``moment``, in ``tz``.

        None if there is none within 50 years.
        """
        zone = _zone(self.tz)
        after = moments.instant(moment)
        minute, hour = self.expression.split()[:2]
        try:
            if minute.startswith("*") or hour.startswith("*"):
                found = _by_elapsed_time(self.expression, zone, after)
            else:
                found = _by_wall_clock(self.expression, zone, after)
            return None if found is None else found.astimezone(zone)
        except OverflowError:  # the end of the calendar
            return None

    def __str__(self) -> str:
        return f"{self.expression} {self.tz}"


def _by_wall_clock(expression: str, zone: tzinfo, after: datetime) -> datetime | None:
    """The first tick after a moment, as Debian's cron has it: once a day, gap or no gap."""
    # cronsim takes the hour that comes twice for one hour, so its first answers may lie before the moment.
    ticks = (tick.astimezone(UTC) for tick in CronSim(expression, after.astimezone(zone)))
    return next((tick for tick in ticks if tick > after), None)


def _by_elapsed_time(expression: str, zone: tzinfo, after: datetime) -> datetime | None:
    """The first instant after a moment at which the wall clock matches, whatever the clock did before.

    cronsim's own way steps by whole hours and loses ticks where the clocks change by half an hour, so it is
    given one stretch of constant offset after the other.
    """
    offset, begin = _offset(zone, after), after
    while True:
        tick = next(CronSim(expression, after + offset), None)
        if tick is None:
            return None
        found = tick - offset
        change = _first_change(zone, begin, found, offset)
        if change is None:
            return found
        offset, begin, after = _offset(zone, change), change, change - _SECOND


def _offset(zone: tzinfo, moment: datetime) -> timedelta:
    offset = moment.astimezone(zone).utcoffset()
    assert offset is not None
    return offset


def _first_change(zone: tzinfo, begin: datetime, end: datetime, offset: timedelta) -> datetime | None:
    """The first second in (begin, end] at which the zone's offset is another."""
    before = begin
    while before < end:
        probe = min(before + _DAY, end)
        if _offset(zone, probe) != offset:
            low, high = before.replace(microsecond=0), probe
            while high - low > _SECOND:
                middle = low + (high - low) // _SECOND // 2 * _SECOND
                low, high = (middle, high) if _offset(zone, middle) == offset else (low, middle)
            return high
        before = probe
    return None
