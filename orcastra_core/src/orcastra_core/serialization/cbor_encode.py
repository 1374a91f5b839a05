"""Values to CBOR bytes, deterministically.

Our own writer, because a queue's bytes must not depend on a hash seed or on a
library's release, because a refusal must say where in the value it happened,
and because a value nested a million deep must be refused, not end the process.
"""

from __future__ import annotations

import datetime as dt
import decimal
import enum
import uuid
from collections.abc import Callable, Iterable, Mapping
from itertools import pairwise
from typing import Any

from orcastra_core.model.errors import SerializationError
from orcastra_core.serialization.cbor_items import (
    ARRAY,
    FALSE,
    MAP,
    NULL,
    TEXT,
    TRUE,
    UINT,
    blob,
    double,
    head,
    integer,
    pack_float_item,
    text,
)
from orcastra_core.serialization.limits import MAX_DEPTH, MAX_DIGITS, MAX_EXPONENT, MAX_WEAK_KEYS
from orcastra_core.serialization.refusal import TOO_DEEP, Refusal, check_enum_keys, shown_key, type_name
from orcastra_core.serialization.rfc3339 import write_date, write_datetime


def encode(value: Any) -> bytes:
    """Return ``value`` as CBOR.

    Raises:
        Refusal: It holds something that has no admitted form.
    """
    parts: list[bytes] = []
    _write(value, parts.append, 0)
    return b"".join(parts)


def dumps(value: Any, what: str = "value") -> bytes:
    """Return ``value`` as CBOR.

    Raises:
        SerializationError: It holds something that has no admitted form; the
            message says where, beginning with ``what``.
    """
    try:
        return encode(value)
    except Refusal as refusal:
        raise SerializationError(f"{what}{refusal.where()}: {refusal.why}") from None


def _write(value: Any, append: Callable[[bytes], None], depth: int) -> None:
    kind = type(value)
    if kind is str:
        try:
            raw = value.encode()
        except UnicodeEncodeError:
            raise Refusal("text with lone surrogates is not valid Unicode") from None
        size = len(raw)
        append(TEXT[size] if size < 256 else head(3, size))
        append(raw)
    elif kind is int:
        if 0 <= value < 256:
            append(UINT[value])
        else:
            append(integer(value))
    elif value is None:
        append(NULL)
    elif kind is dict:
        _write_map(value, append, depth)
    elif kind is list or kind is tuple:
        _write_array(value, append, depth)
    elif kind is float:
        append(pack_float_item(0xFB, value))
    elif kind is bool:
        append(TRUE if value else FALSE)
    elif kind is bytes:
        append(blob(value))
    else:
        _write_rich(value, append, depth)


def _write_array(value: Iterable[Any], append: Callable[[bytes], None], depth: int) -> None:
    if depth >= MAX_DEPTH:
        raise Refusal(TOO_DEEP)
    size = len(value)  # type: ignore[arg-type]  # list, tuple and their subclasses
    append(ARRAY[size] if size < 256 else head(4, size))
    depth += 1
    index = -1
    try:
        for index, item in enumerate(value):  # noqa: B007 - read in the handler
            if type(item) is int and 0 <= item < 256:
                append(UINT[item])
            else:
                _write(item, append, depth)
    except Refusal as refusal:
        refusal.path.append(f"[{index}]")
        raise


def _write_map(value: Mapping[Any, Any], append: Callable[[bytes], None], depth: int) -> None:
    if depth >= MAX_DEPTH:
        raise Refusal(TOO_DEEP)
    size = len(value)
    append(MAP[size] if size < 256 else head(5, size))
    if not size:
        return
    depth += 1
    weak = 0
    enums = False
    key: Any = None
    try:
        for key, item in value.items():
            if type(key) is not str:
                weak += not isinstance(key, (str, bytes))
                enums = enums or isinstance(key, enum.Enum)
                _write_key(key, append, depth)
            else:
                _write(key, append, depth)
            _write(item, append, depth)
    except Refusal as refusal:
        refusal.path.append(f"[{shown_key(key)}]")
        raise
    if enums:
        check_enum_keys(value)
    if weak > MAX_WEAK_KEYS:
        raise Refusal(f"a dict with {weak} keys that are not text is too large (at most {MAX_WEAK_KEYS}); use a list")


def _write_key(key: Any, append: Callable[[bytes], None], depth: int) -> None:
    try:
        if isinstance(key, dict):
            raise Refusal("a dict cannot be a key")
        _write(key, append, depth)
    except Refusal as refusal:
        refusal.path.append(" as a key")
        raise


def _write_rich(value: Any, append: Callable[[bytes], None], depth: int) -> None:
    """Write what is not a plain builtin. Order matters: datetime is a date, bool and IntEnum are ints."""
    if isinstance(value, enum.Enum):
        _write(value.value, append, depth + 1)
        return
    if isinstance(value, (set, frozenset)):
        _write_set(value, append, depth)
        return
    writer = next((writer for kind, writer in _RICH if isinstance(value, kind)), None)
    if writer is not None:
        append(writer(value))
    elif isinstance(value, dict):
        _write_map(value, append, depth)
    elif isinstance(value, (list, tuple)):
        _write_array(value, append, depth)
    else:
        raise Refusal(f"a {type_name(value)} cannot be serialized")


def _write_set(value: Iterable[Any], append: Callable[[bytes], None], depth: int) -> None:
    if depth >= MAX_DEPTH:
        raise Refusal(TOO_DEEP)
    members: list[bytes] = []
    for member in value:
        parts: list[bytes] = []
        try:
            _write(member, parts.append, depth + 1)
        except Refusal as refusal:
            refusal.path.append(f"{{{shown_key(member)}}}")
            raise
        members.append(b"".join(parts))
    if len(members) > MAX_WEAK_KEYS:
        raise Refusal(f"a set of {len(members)} members is too large (at most {MAX_WEAK_KEYS}); use a list")
    members.sort()
    if any(member == following for member, following in pairwise(members)):
        raise Refusal("two members of a set are written alike")
    append(b"\xd9\x01\x02")
    append(head(4, len(members)))
    append(b"".join(members))


def _duration(value: dt.timedelta) -> bytes:
    seconds, micros = value.days * 86400 + value.seconds, value.microseconds
    if micros:
        return b"\xd9\x03\xea\xa2\x01" + integer(seconds) + b"\x25" + integer(micros)
    return b"\xd9\x03\xea\xa1\x01" + integer(seconds)


def _decimal(value: decimal.Decimal) -> bytes:
    sign, digits, exponent = value.as_tuple()
    if not isinstance(exponent, int):
        raise Refusal(f"Decimal {value} is not a number; send None instead")
    if len(digits) > MAX_DIGITS or abs(exponent) > MAX_EXPONENT:
        raise Refusal(f"a Decimal may have {MAX_DIGITS} digits and an exponent within ±{MAX_EXPONENT}")
    mantissa = 0
    for start in range(0, len(digits), 600):  # below every int-to-text limit the process may have
        chunk = digits[start : start + 600]
        mantissa = mantissa * 10 ** len(chunk) + int("".join(map(str, chunk)))
    return b"\xc4\x82" + integer(exponent) + integer(-mantissa if sign else mantissa)


_RICH: tuple[tuple[type, Callable[[Any], bytes]], ...] = (
    (dt.datetime, lambda value: b"\xc0" + text(write_datetime(value))),
    (dt.date, lambda value: b"\xd9\x03\xec" + text(write_date(value))),
    (dt.timedelta, _duration),
    (decimal.Decimal, _decimal),
    (uuid.UUID, lambda value: b"\xd8\x25\x50" + value.bytes),
    (bytes, lambda value: blob(bytes(value))),
    (bytearray, lambda value: blob(bytes(value))),
    (str, lambda value: _plain(str.__str__(value))),
    (int, lambda value: integer(int.__int__(value))),
    (float, lambda value: double(float.__float__(value))),
)


def _plain(value: str) -> bytes:
    try:
        return text(value)
    except UnicodeEncodeError:
        raise Refusal("text with lone surrogates is not valid Unicode") from None
