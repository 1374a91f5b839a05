"""How values that JSON lacks are written: ``{"$name": …}``, an object with this one key.

A real dict with one key that begins with ``$`` is written with one more ``$``
before it, so that nothing is ever taken for what it is not.
"""

from __future__ import annotations

import base64
import datetime as dt
import decimal
import re
import uuid
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from orcastra_core.serialization.cbor_decode import check_hashes
from orcastra_core.serialization.limits import MAX_DIGITS, MAX_EXPONENT
from orcastra_core.serialization.rfc3339 import read_date, read_datetime

_INT = re.compile(rf"-?[0-9]{{1,{MAX_DIGITS}}}\Z")
_DECIMAL = re.compile(rf"-?[0-9.]{{1,{MAX_DIGITS + 1}}}(E[+-]?[0-9]{{1,6}})?\Z")
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\Z")


def _text(item: Any, pattern: re.Pattern[str]) -> str:
    if type(item) is not str or not pattern.match(item):
        raise ValueError("is malformed")
    return item


def _bytes(item: Any) -> bytes:
    if type(item) is not str:
        raise ValueError("is malformed")
    return base64.b64decode(item, validate=True)


def _decimal(item: Any) -> decimal.Decimal:
    try:
        value = decimal.Decimal(_text(item, _DECIMAL))
    except decimal.InvalidOperation:
        raise ValueError("is malformed") from None
    exponent = value.as_tuple().exponent
    if not isinstance(exponent, int) or abs(exponent) > MAX_EXPONENT:
        raise ValueError("is out of range")
    return value


def _duration(item: Any) -> dt.timedelta:
    if type(item) is not list or [type(part) for part in item] != [int, int] or not 0 <= item[1] < 1_000_000:
        raise ValueError("is malformed")
    try:
        return dt.timedelta(seconds=item[0], microseconds=item[1])
    except OverflowError:
        raise ValueError("is out of range") from None


def _set(item: Any) -> set[Any]:
    if type(item) is not list:
        raise ValueError("is malformed")
    members = [frozen(member) for member in item]
    check_hashes(members)
    built = set(members)
    if len(built) != len(members):
        raise ValueError("has a member twice")
    return built


def _map(item: Any) -> dict[Any, Any]:
    if type(item) is not list or not all(type(pair) is list and len(pair) == 2 for pair in item):
        raise ValueError("is malformed")
    pairs = [(frozen(key), value) for key, value in item]
    check_hashes(key for key, _ in pairs)
    built = dict(pairs)
    if len(built) != len(pairs):
        raise ValueError("has a key twice")
    return built


def frozen(item: Any) -> Any:
    """Return a value as a key or a member. Raises ValueError for one that holds a dict."""
    if type(item) is list:
        return tuple(frozen(part) for part in item)
    if type(item) is set:
        return frozenset(item)
    if type(item) is dict:
        raise ValueError("has a dict for a key or member")
    return item


READERS: Mapping[str, Callable[[Any], Any]] = MappingProxyType(
    {
        "$bytes": _bytes,
        "$date": read_date,
        "$datetime": read_datetime,
        "$decimal": _decimal,
        "$duration": _duration,
        "$int": lambda item: int(_text(item, _INT)),
        "$map": _map,
        "$set": _set,
        "$uuid": lambda item: uuid.UUID(_text(item, _UUID)),
    }
)
"""Tag to reader, each raising ValueError for what does not fit it."""
