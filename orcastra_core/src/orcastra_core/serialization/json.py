"""The other serializer: JSON (RFC 8259), for bodies that people and browsers read."""

from __future__ import annotations

import base64
import datetime as dt
import decimal
import enum
import json
import math
import uuid
from itertools import pairwise
from typing import Any, Final

from orcastra_core.model.errors import DeserializationError, SerializationError
from orcastra_core.serialization.json_tags import READERS
from orcastra_core.serialization.limits import MAX_DEPTH, MAX_DIGITS, MAX_EXPONENT, MAX_WEAK_KEYS
from orcastra_core.serialization.refusal import TOO_DEEP, Refusal, check_enum_keys, shown_key, type_name
from orcastra_core.serialization.rfc3339 import write_date, write_datetime

_SAFE: Final = 2**53 - 1  # what every JSON reader keeps exact
_DIGITS_MOST: Final = 10**MAX_DIGITS
_write = json.JSONEncoder(ensure_ascii=False, allow_nan=False, check_circular=False, separators=(",", ":")).encode


class JsonSerializer:
    """JSON, deterministic and strict. Stateless and thread-safe.

    Holds what ``CborSerializer`` holds, except NaN and the infinities. What
    JSON has no form for is tagged: ``{"$bytes": "AAE="}``, and likewise ``$date``,
    ``$datetime``, ``$decimal``, ``$duration``, ``$int`` (beyond 53 bits), ``$map`` (keys
    that are not text), ``$set`` and ``$uuid``.
    """

    content_type = "application/json"

    def dumps(self, value: Any, /) -> bytes:
        """Return ``value`` as bytes: the same bytes for the same value, in every process.

        Dicts keep their order; sets are sorted by their members' text.

        Raises:
            SerializationError: It holds something else; the message begins
                with ``value`` and the path, as in ``value['when'][1]``.
        """
        try:
            return _write(_plain(value, 0)).encode()
        except Refusal as refusal:
            raise SerializationError(f"value{refusal.where()}: {refusal.why}") from None

    def loads(self, data: bytes, /) -> Any:
        """Return the value that ``data`` holds, in time and memory bounded by its length.

        Raises:
            DeserializationError: And nothing else, for any bytes.
        """
        try:
            value = _decoder.decode(str(data, "utf-8"))
            _check(value, 0, b"\\u" in data)
        except RecursionError:
            raise DeserializationError(f"JSON: nested more than {MAX_DEPTH} deep") from None
        except ValueError as error:
            raise DeserializationError(f"JSON: {error}") from None
        return value


def _plain(value: Any, depth: int) -> Any:
    """Return a value as ``json`` can write it. Raises Refusal."""
    kind = type(value)
    if kind is str:
        return _unicode(value)
    if value is None or kind is bool:
        return value
    if kind is int:
        return value if -_SAFE <= value <= _SAFE else {"$int": _digits(value)}
    if kind is float:
        if not math.isfinite(value):
            raise Refusal(f"{value!r} has no JSON form; send None instead")
        return value
    if isinstance(value, enum.Enum):
        return _plain(value.value, depth + 1)
    if isinstance(value, (list, tuple, dict, set, frozenset)) and depth >= MAX_DEPTH:
        raise Refusal(TOO_DEEP)
    if isinstance(value, (list, tuple)):
        return [_step(item, depth, f"[{index}]") for index, item in enumerate(value)]
    if isinstance(value, dict):
        return _plain_dict(value, depth)
    if isinstance(value, (set, frozenset)):
        if len(value) > MAX_WEAK_KEYS:
            raise Refusal(f"a set of {len(value)} members is too large (at most {MAX_WEAK_KEYS}); use a list")
        members = [_step(member, depth, f"{{{shown_key(member)}}}") for member in value]
        members.sort(key=_write)
        if any(_write(member) == _write(following) for member, following in pairwise(members)):
            raise Refusal("two members of a set are written alike")
        return {"$set": members}
    return _plain_rich(value)


def _step(value: Any, depth: int, step: str) -> Any:
    try:
        return _plain(value, depth + 1)
    except Refusal as refusal:
        refusal.path.append(step)
        raise


def _plain_dict(value: dict[Any, Any], depth: int) -> Any:
    if all(isinstance(key, str) and not isinstance(key, enum.Enum) for key in value):
        plain = {_unicode(str.__str__(key)): _step(item, depth, f"[{shown_key(key)}]") for key, item in value.items()}
        if len(plain) == 1:
            (key,) = plain
            if key.startswith("$"):
                return {f"${key}": plain[key]}
        return plain
    if len(value) > MAX_WEAK_KEYS:
        raise Refusal(f"a dict of {len(value)} keys that are not text is too large (at most {MAX_WEAK_KEYS})")
    if any(isinstance(key, enum.Enum) for key in value):
        check_enum_keys(value)
    return {
        "$map": [
            [_step(key, depth, f"[{shown_key(key)}] as a key"), _step(item, depth, f"[{shown_key(key)}]")]
            for key, item in value.items()
        ]
    }


def _plain_rich(value: Any) -> Any:
    if isinstance(value, dt.datetime):
        return {"$datetime": write_datetime(value)}
    if isinstance(value, dt.date):
        return {"$date": write_date(value)}
    if isinstance(value, dt.timedelta):
        return {"$duration": [value.days * 86400 + value.seconds, value.microseconds]}
    if isinstance(value, decimal.Decimal):
        _, digits, exponent = value.as_tuple()
        if not isinstance(exponent, int):
            raise Refusal(f"Decimal {value} is not a number; send None instead")
        if len(digits) > MAX_DIGITS or abs(exponent) > MAX_EXPONENT:
            raise Refusal(f"a Decimal may have {MAX_DIGITS} digits and an exponent within ±{MAX_EXPONENT}")
        return {"$decimal": decimal.Decimal.__str__(value)}
    if isinstance(value, uuid.UUID):
        return {"$uuid": uuid.UUID.__str__(value)}
    if isinstance(value, (bytes, bytearray)):
        return {"$bytes": base64.b64encode(value).decode()}
    # Subclasses are written as what they extend.
    if isinstance(value, str):
        return _plain(str.__str__(value), 0)
    if isinstance(value, int):
        return _plain(int.__int__(value), 0)
    if isinstance(value, float):
        return _plain(float.__float__(value), 0)
    raise Refusal(f"a {type_name(value)} cannot be serialized")


def _unicode(value: str) -> str:
    try:
        value.encode()
    except UnicodeEncodeError:
        raise Refusal("text with lone surrogates is not valid Unicode") from None
    return value


def _digits(value: int) -> str:
    if abs(value) >= _DIGITS_MOST:
        raise Refusal(f"an int of more than {MAX_DIGITS} digits has no JSON form here")
    return str(value)


def _object(pairs: list[tuple[str, Any]]) -> Any:
    if len(pairs) == 1 and pairs[0][0].startswith("$"):
        name, item = pairs[0]
        if name.startswith("$$"):
            return {name[1:]: item}
        if name not in READERS:
            raise ValueError(f"the tag {name!r:.40} is unknown")
        try:
            return READERS[name](item)
        except ValueError as error:
            raise ValueError(f"{name} {error}") from None
    built = dict(pairs)
    if len(built) != len(pairs):
        raise ValueError("an object has a key twice")
    return built


def _constant(name: str) -> Any:
    raise ValueError(f"{name} is not admitted")


def _int(text: str) -> int:
    if len(text) > MAX_DIGITS:
        raise ValueError(f"a number of {len(text)} digits is not admitted")
    return int(text)


_decoder = json.JSONDecoder(object_pairs_hook=_object, parse_constant=_constant, parse_int=_int)


def _check(value: Any, depth: int, escapes: bool) -> None:
    """Raise ValueError for what the parser lets through: too deep, infinite, half a character."""
    kind = type(value)
    if kind is str:
        if escapes:
            value.encode()
    elif kind is float:
        if not math.isfinite(value):
            raise ValueError("a number is out of range")
    elif kind is list or kind is dict or kind is set or kind is tuple or kind is frozenset:
        if depth >= MAX_DEPTH:
            raise ValueError(f"nested more than {MAX_DEPTH} deep")
        for item in value:
            _check(item, depth + 1, escapes)
        if kind is dict:
            for item in value.values():
                _check(item, depth + 1, escapes)
