"""Dates and moments as text (RFC 3339), strictly."""

from __future__ import annotations

import datetime as dt
import re

from orcastra_core.serialization.refusal import Refusal

_DATETIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]\d\d:\d\d)\Z", re.ASCII)
_DATE = re.compile(r"\d{4}-\d\d-\d\d\Z", re.ASCII)
_MINUTE = dt.timedelta(minutes=1)


def write_datetime(value: dt.datetime) -> str:
    """Return the text of an aware datetime; UTC ends with ``Z``.

    Raises:
        Refusal: It is naive.
    """
    offset = value.utcoffset()
    if offset is None:
        raise Refusal(
            f"naive datetime {value.isoformat()}: give it a time zone, for example datetime.now(tz=timezone.utc)"
        )
    if offset % _MINUTE:  # RFC 3339 has no seconds in an offset
        try:
            value = value.astimezone(dt.UTC)
        except OverflowError:
            raise Refusal(f"datetime {value.isoformat()} has no UTC form") from None
    written = dt.datetime.isoformat(value)
    return f"{written[:-6]}Z" if written.endswith("+00:00") else written


def write_date(value: dt.date) -> str:
    """Return the text of a date."""
    return dt.date.isoformat(value)


def read_datetime(item: object) -> dt.datetime:
    """Return the aware datetime of a text; digits beyond microseconds are dropped. Raises ValueError."""
    if type(item) is not str or not _DATETIME.match(item):
        raise ValueError("is no RFC 3339 date and time with an offset")
    return dt.datetime.fromisoformat(item)


def read_date(item: object) -> dt.date:
    """Return the date of a text. Raises ValueError."""
    if type(item) is not str or not _DATE.match(item):
        raise ValueError("is no date")
    return dt.date.fromisoformat(item)
