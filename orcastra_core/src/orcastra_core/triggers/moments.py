"""Checked moments, for the triggers."""

from __future__ import annotations

from datetime import UTC, datetime

from orcastra_core.model.errors import InvalidOption

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def aware(what: str, value: object) -> datetime:
    """Return ``value`` if it is an aware datetime. Raises InvalidOption, naming ``what``."""
    if not isinstance(value, datetime):
        raise InvalidOption(f"{what}: expected a datetime, got {type(value).__name__}")
    if value.utcoffset() is None:
        raise InvalidOption(
            f"{what}: {value.isoformat()} has no time zone; for example {value.replace(tzinfo=UTC).isoformat()}"
        )
    return value


def read(what: str, text: str) -> datetime:
    """Return the aware datetime in ISO 8601 that ``text`` is. Raises InvalidOption, naming ``what``."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise InvalidOption(f"{what}: {text!r} is not a moment; for example 2027-01-01T00:00:00+00:00") from None
    return aware(what, moment)


def instant(moment: datetime) -> datetime:
    """Return an aware moment in UTC.

    Two datetimes of one zone compare by their wall clocks, which is wrong in the hour that comes twice.

    Raises:
        InvalidOption: It is naive.
    """
    return aware("moment", moment).astimezone(UTC)
