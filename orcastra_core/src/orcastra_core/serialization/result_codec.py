"""Wire format v1 of a result: a CBOR map with integer keys, see ``docs/reference/wire-format.md``."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

from orcastra_core.model.envelope import CBOR
from orcastra_core.model.errors import DeserializationError, SerializationError
from orcastra_core.model.ids import TaskId
from orcastra_core.model.result import ErrorInfo, Outcome, Result
from orcastra_core.serialization import envelope_fields as fields
from orcastra_core.serialization.cbor_decode import decode
from orcastra_core.serialization.cbor_items import FALSE, TRUE, blob, double, head, lenient_text, text
from orcastra_core.serialization.refusal import shown_key

_PLAIN = b"\xa6\x00\x01\x01\x50"  # six keys: version, id, outcome, ended_at, ttl, value
_COMPLETED_AT = b"\x02\x00\x03\xfb"
_TTL = b"\x04\xfb"
_plain = struct.Struct(">5s16s4sd2sds")
_unpack = struct.Struct(">4xd2xd").unpack_from
_SIZE = _plain.size  # 44: everything up to the value's head


def encode_result(result: Result, /) -> bytes:
    """Return the wire form: the same bytes for equal results.

    Text of an error that is not valid Unicode is written with backslashes, never refused.

    Raises:
        SerializationError: A field has no wire form; the message names it.
    """
    if (
        result.outcome is Outcome.COMPLETED
        and result.error is None
        and result.content_type == CBOR
        and 0 <= result.ended_at < fields.MAX_TIME
        and 0 <= result.ttl < fields.MAX_TIME
    ):
        try:
            raw_id = bytes.fromhex(result.id.replace("-", ""))
            if len(raw_id) == 16:
                return _plain.pack(_PLAIN, raw_id, _COMPLETED_AT, result.ended_at, _TTL, result.ttl, b"\x05") + blob(
                    result.value
                )
        except (ValueError, TypeError, struct.error):
            pass  # the general way finds out which field it was
    return _encode_any(result)


def _encode_any(result: Result) -> bytes:
    name = "id"
    try:
        pairs = [b"\x00\x01", b"\x01" + fields.write_id(result.id)]
        name = "outcome"
        pairs.append(b"\x02" + head(0, Outcome(result.outcome)))
        name = "ended_at"
        pairs.append(b"\x03" + double(fields.read_moment(result.ended_at)))
        name = "ttl"
        pairs.append(b"\x04" + double(fields.read_seconds(result.ttl)))
        name = "value"
        pairs.append(b"\x05" + blob(fields.read_bytes(result.value)))
        name = "content_type"
        if result.content_type != CBOR:
            pairs.append(b"\x06" + text(fields.read_media_type(result.content_type)))
    except (ValueError, TypeError) as error:
        raise SerializationError(f"result: {name}: {error}") from None
    if result.error is not None:
        pairs.append(b"\x07" + write_error(result.error))
    return head(5, len(pairs)) + b"".join(pairs)


def write_error(error: ErrorInfo) -> bytes:
    """Return an error as a CBOR array: type, message, traceback, retryable."""
    texts = lenient_text(error.type) + lenient_text(error.message) + lenient_text(error.traceback)
    return b"\x84" + texts + (TRUE if error.retryable else FALSE)


def decode_result(raw: bytes, /) -> Result:
    """Return the result that ``raw`` holds. Keys it does not know are ignored.

    Raises:
        DeserializationError: It holds none; the message says why. Nothing else, for any bytes.
    """
    if raw.startswith(_PLAIN) and raw[21:25] == _COMPLETED_AT and raw[33:35] == _TTL and raw[43:44] == b"\x05":
        value = _sole_bytes(raw, _SIZE)
        if value is not None:
            ended_at, ttl = _unpack(raw, 21)
            if 0.0 <= ended_at < fields.MAX_TIME and 0.0 <= ttl < fields.MAX_TIME:
                h = raw[5:21].hex()
                return Result(
                    TaskId(f"{h[:8]}-{h[8:12]}-{h[12:16]}-{h[16:20]}-{h[20:]}"),
                    Outcome.COMPLETED,
                    value,
                    ended_at=ended_at,
                    ttl=ttl,
                )
    return _decode_any(raw)


def _sole_bytes(raw: bytes, at: int) -> bytes | None:
    """Return the short byte string that runs from ``at`` to the end, if that is what is there."""
    left = len(raw) - at
    if left < 1:
        return None
    size = raw[at]
    if size == 0x3F + left and left <= 24:
        return raw[at + 1 :]
    if size == 0x58 and left >= 2 and raw[at + 1] == left - 2:
        return raw[at + 2 :]
    return None


def _decode_any(raw: bytes) -> Result:
    wire = decode(raw)
    if type(wire) is not dict or not raw[1:2] == b"\x00":
        raise DeserializationError("no result: expected a CBOR map that begins with its version (0)")
    if type(wire[0]) is not int or wire[0] != 1:
        raise DeserializationError(f"result version {shown_key(wire[0])} is unknown to this release, which reads 1")
    read: dict[str, Any] = {}
    for key, (name, reader) in _READERS.items():
        if key in wire:
            try:
                read[name] = reader(wire[key])
            except ValueError as error:
                raise DeserializationError(f"result: {name}: {error}") from None
    for name in ("id", "outcome", "ended_at", "ttl"):
        if name not in read:
            raise DeserializationError(f"result: {name} is missing")
    return Result(**read)


def _read_outcome(value: Any) -> Outcome:
    if type(value) is not int:
        raise ValueError("expected a number")
    return Outcome(value)


def read_error(value: Any) -> ErrorInfo:
    """Return the error of a decoded array. Raises ValueError."""
    if type(value) is not list or len(value) < 4 or [type(part) for part in value[:4]] != [str, str, str, bool]:
        raise ValueError("expected [type, message, traceback, retryable]")
    return ErrorInfo(*value[:4])


_READERS: Final[Mapping[int, tuple[str, Any]]] = MappingProxyType(
    {
        1: ("id", fields.read_id),
        2: ("outcome", _read_outcome),
        3: ("ended_at", fields.read_moment),
        4: ("ttl", fields.read_seconds),
        5: ("value", fields.read_bytes),
        6: ("content_type", fields.read_media_type),
        7: ("error", read_error),
    }
)
