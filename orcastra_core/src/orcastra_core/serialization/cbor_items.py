"""The items that CBOR bytes are made of: heads, texts, byte strings, numbers."""

from __future__ import annotations

import struct

pack_double = struct.Struct(">d").pack
pack_float_item = struct.Struct(">Bd").pack
_pack_2_bytes = struct.Struct(">BH").pack
_pack_4_bytes = struct.Struct(">BI").pack


def head(major: int, number: int) -> bytes:
    """Return the first bytes of an item: its major type (0 to 7) and its number, in the shortest form."""
    top = major << 5
    if number < 24:
        return bytes((top | number,))
    if number < 0x100:
        return bytes((top | 24, number))
    if number < 0x10000:
        return _pack_2_bytes(top | 25, number)
    if number < 0x100000000:
        return _pack_4_bytes(top | 26, number)
    return struct.pack(">BQ", top | 27, number)


# Heads of everything short, so that the common item costs an index instead of a call.
UINT = [head(0, n) for n in range(256)]
BYTES = [head(2, n) for n in range(256)]
TEXT = [head(3, n) for n in range(256)]
ARRAY = [head(4, n) for n in range(256)]
MAP = [head(5, n) for n in range(256)]

NULL = b"\xf6"
FALSE = b"\xf4"
TRUE = b"\xf5"


def text(value: str) -> bytes:
    """Return a text item. Raises UnicodeEncodeError for lone surrogates."""
    raw = value.encode()
    size = len(raw)
    return (TEXT[size] if size < 256 else head(3, size)) + raw


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
    return (BYTES[size] if size < 256 else head(2, size)) + value


def double(value: float) -> bytes:
    """Return a float item, always of 64 bits."""
    return pack_float_item(0xFB, value)


def integer(value: int) -> bytes:
    """Return an int item of any size."""
    if value >= 0:
        major, number, tag = 0, value, b"\xc2"
    else:
        major, number, tag = 1, -1 - value, b"\xc3"
    if number < 0x10000000000000000:
        return head(major, number)
    return tag + blob(number.to_bytes((number.bit_length() + 7) // 8, "big"))
