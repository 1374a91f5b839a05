"""The CBOR tags that Orcastra admits, and what each becomes. No other is read.

Every function takes the tagged item, already decoded, and raises ValueError
when the item does not fit the tag.
"""

from __future__ import annotations

import datetime as dt
import decimal
import math
import uuid
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from orcastra_core.serialization.limits import MAX_DIGITS, MAX_EXPONENT
from orcastra_core.serialization.rfc3339 import read_date, read_datetime

SET = 258
"""A set: read where its members' place in the data is known, see ``cbor_decode``."""

_MANTISSA = 10**MAX_DIGITS


def _epoch(item: Any) -> dt.datetime:
    if type(item) is not int and not (type(item) is float and math.isfinite(item)):
        raise ValueError("needs Unix seconds")
    try:
        return dt.datetime.fromtimestamp(item, dt.UTC)
    except (OverflowError, OSError):
        raise ValueError("is out of range") from None


def _bignum(item: Any) -> int:
    if type(item) is not bytes:
        raise ValueError("needs a byte string")
    return int.from_bytes(item, "big")


def _decimal(item: Any) -> decimal.Decimal:
    if not isinstance(item, (list, tuple)) or len(item) != 2 or not all(type(part) is int for part in item):
        raise ValueError("needs [exponent, mantissa]")
    exponent, mantissa = item
    if not -MAX_EXPONENT <= exponent <= MAX_EXPONENT or not -_MANTISSA < mantissa < _MANTISSA:
        raise ValueError("is out of range")
    # From the tuple: exact whatever the context's precision is.
    sign, digits, _ = decimal.Decimal(mantissa).as_tuple()
    return decimal.Decimal((sign, digits, exponent))


def _uuid(item: Any) -> uuid.UUID:
    if type(item) is not bytes or len(item) != 16:
        raise ValueError("needs 16 bytes")
    return uuid.UUID(bytes=item)


def _duration(item: Any) -> dt.timedelta:
    if not isinstance(item, Mapping) or not {1} <= item.keys() <= {1, -6}:
        raise ValueError("needs a map of seconds (1) and microseconds (-6)")
    seconds, micros = item[1], item.get(-6, 0)
    if type(seconds) is not int or type(micros) is not int or not 0 <= micros < 1_000_000:
        raise ValueError("needs whole seconds and 0 to 999999 microseconds")
    try:
        return dt.timedelta(seconds=seconds, microseconds=micros)
    except OverflowError:
        raise ValueError("is out of range") from None


ADMITTED: Mapping[int, Callable[[Any], Any]] = MappingProxyType(
    {
        0: read_datetime,
        1: _epoch,
        2: _bignum,
        3: lambda item: -1 - _bignum(item),
        4: _decimal,
        37: _uuid,
        1002: _duration,
        1004: read_date,
    }
)
"""Tag to reader, for all admitted tags but ``SET``."""
