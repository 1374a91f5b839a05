"""Values to CBOR bytes, deterministically.

Our own writer, because a queue's bytes must not depend on a hash seed or on a
library's release, because a refusal must say where in the value it happened,
and because a value nested a million deep must be refused, not end the process.
"""

from __future__ import annotations

import datetime as dt
import decimal
import enum
import struct
import uuid
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from orcastra_core.model.errors import SerializationError

MAX_DEPTH = 100
"""Containers and tags may be nested this deep, in both directions."""

MAX_WEAK_KEYS = 16384
"""Members of one set, or keys of one map with keys other than text and bytes.

Python's hashes of those are not keyed by a secret, so hostile bytes could choose
them to collide; the bound keeps the damage small.
"""

MAX_DIGITS = 4300
MAX_EXPONENT = 10000

pack_double = struct.Struct(">d").pack
_pack_tagged_double = struct.Struct(">Bd").pack


def head(major: int, number: int) -> bytes:
    """Return the first bytes of an item: its major type (0 to 7) and its number, in the shortest form."""
    top = major << 5
    if number < 24:
        return bytes((top | number,))
    if number < 0x100:
        return bytes((top | 24, number))
    if number < 0x10000:
        return struct.pack(">BH", top | 25, number)
    if number < 0x100000000:
        return struct.pack(">BI", top | 26, number)
    return struct.pack(">BQ", top | 27, number)


# Heads of everything short, so that the common item costs an index instead of a call.
_UINT = [head(0, n) for n in range(256)]
_BYTES = [head(2, n) for n in range(256)]
_TEXT = [head(3, n) for n in range(256)]
_ARRAY = [head(4, n) for n in range(256)]
_MAP = [head(5, n) for n in range(256)]

NULL = b"\xf6"
FALSE = b"\xf4"
TRUE = b"\xf5"


def text(value: str) -> bytes:
    """Return a text item. Raises UnicodeEncodeError for lone surrogates."""
    raw = value.encode()
    size = len(raw)
    return (_TEXT[size] if size < 256 else head(3, size)) + raw


def lenient_text(value: str) -> bytes:
    """Return a text item; what UTF-8 cannot hold is written with backslashes.

    For what people read (messages, tracebacks) and must not be lost.
    """
    try:
        return text(value)
    except UnicodeEncodeError:
        return text(value.encode("utf-8", "backslashreplace").decode())


def blob(value: bytes) -> bytes:
    """Return a byte string item."""
    size = len(value)
    return (_BYTES[size] if size < 256 else head(2, size)) + value


def double(value: float) -> bytes:
    """Return a float item, always of 64 bits."""
    return _pack_tagged_double(0xFB, value)


class Refusal(Exception):  # noqa: N818 - internal: becomes SerializationError once the path is known
    """Why a value cannot be written, gathering where on its way out."""

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why
        self.path: list[str] = []

    def where(self) -> str:
        """Return the path from the outside in, shortened where it is long."""
        steps = self.path[::-1]
        return "".join(steps if len(steps) <= 12 else [*steps[:6], "…", *steps[-3:]])


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
        append(_TEXT[size] if size < 256 else head(3, size))
        append(raw)
    elif kind is int:
        if 0 <= value < 256:
            append(_UINT[value])
        else:
            append(_integer(value))
    elif value is None:
        append(NULL)
    elif kind is dict:
        _write_map(value, append, depth)
    elif kind is list or kind is tuple:
        _write_array(value, append, depth)
    elif kind is float:
        append(_pack_tagged_double(0xFB, value))
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
    append(_ARRAY[size] if size < 256 else head(4, size))
    depth += 1
    index = -1
    try:
        for index, item in enumerate(value):  # noqa: B007 - read in the handler
            _write(item, append, depth)
    except Refusal as refusal:
        refusal.path.append(f"[{index}]")
        raise


def _write_map(value: Mapping[Any, Any], append: Callable[[bytes], None], depth: int) -> None:
    if depth >= MAX_DEPTH:
        raise Refusal(TOO_DEEP)
    size = len(value)
    append(_MAP[size] if size < 256 else head(5, size))
    depth += 1
    weak = 0
    key: Any = None
    try:
        for key, item in value.items():
            if type(key) is not str:
                weak += not isinstance(key, (str, bytes))
                _write_key(key, append, depth)
            else:
                _write(key, append, depth)
            _write(item, append, depth)
    except Refusal as refusal:
        refusal.path.append(f"[{shown_key(key)}]")
        raise
    if weak > MAX_WEAK_KEYS:
        raise Refusal(f"a dict with {weak} keys that are not text is too large (at most {MAX_WEAK_KEYS}); use a list")


def _write_key(key: Any, append: Callable[[bytes], None], depth: int) -> None:
    try:
        _write(key, append, depth)
    except Refusal as refusal:
        refusal.path.append(" as a key")
        raise


def _integer(value: int) -> bytes:
    if value >= 0:
        major, number, tag = 0, value, b"\xc2"
    else:
        major, number, tag = 1, -1 - value, b"\xc3"
    if number < 0x10000000000000000:
        return head(major, number)
    return tag + blob(number.to_bytes((number.bit_length() + 7) // 8, "big"))


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
    append(b"\xd9\x01\x02")
    append(head(4, len(members)))
    append(b"".join(members))


def aware(value: dt.datetime) -> str:
    """Return RFC 3339 text. Raises Refusal for a naive datetime."""
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


def _duration(value: dt.timedelta) -> bytes:
    seconds, micros = value.days * 86400 + value.seconds, value.microseconds
    if micros:
        return b"\xd9\x03\xea\xa2\x01" + _integer(seconds) + b"\x25" + _integer(micros)
    return b"\xd9\x03\xea\xa1\x01" + _integer(seconds)


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
    return b"\xc4\x82" + _integer(exponent) + _integer(-mantissa if sign else mantissa)


_MINUTE = dt.timedelta(minutes=1)
TOO_DEEP = f"nested more than {MAX_DEPTH} deep, or inside itself"
_RICH: tuple[tuple[type, Callable[[Any], bytes]], ...] = (
    (dt.datetime, lambda value: b"\xc0" + text(aware(value))),
    (dt.date, lambda value: b"\xd9\x03\xec" + text(dt.date.isoformat(value))),
    (dt.timedelta, _duration),
    (decimal.Decimal, _decimal),
    (uuid.UUID, lambda value: b"\xd8\x25\x50" + value.bytes),
    (bytes, lambda value: blob(bytes(value))),
    (bytearray, lambda value: blob(bytes(value))),
    (str, lambda value: _plain(str.__str__(value))),
    (int, lambda value: _integer(int.__int__(value))),
    (float, lambda value: double(float.__float__(value))),
)


def _plain(value: str) -> bytes:
    try:
        return text(value)
    except UnicodeEncodeError:
        raise Refusal("text with lone surrogates is not valid Unicode") from None


def type_name(value: object) -> str:
    """Return the name of a value's type, for messages."""
    kind = type(value)
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"


def shown_key(value: object) -> str:
    """Return a key or member as a path shows it: short, and never more than a plain value."""
    if isinstance(value, (str, bytes)) and len(value) > 40:
        return f"{value[:40]!r}…"
    if isinstance(value, (str, bytes, bool, float, type(None))) or (isinstance(value, int) and abs(value) < 10**40):
        return repr(value)
    return f"a {type_name(value)}"
