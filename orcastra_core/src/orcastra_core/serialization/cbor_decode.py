"""CBOR bytes to values, trusting nothing.

A reader of definite-length CBOR with the admitted tags (``tags``) and nothing
else. Work and memory are bounded by the number of bytes: lengths are compared
with what is left before anything is made, nesting is bounded, and so are the
keys whose hashes an attacker could choose.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from typing import Any

from orcastra_core.model.errors import DeserializationError
from orcastra_core.serialization.limits import MAX_DEPTH, MAX_WEAK_KEYS
from orcastra_core.serialization.tags import ADMITTED, SET

_half = struct.Struct(">e").unpack_from
_single = struct.Struct(">f").unpack_from
_double = struct.Struct(">d").unpack_from
_u16 = struct.Struct(">H").unpack_from
_u32 = struct.Struct(">I").unpack_from
_u64 = struct.Struct(">Q").unpack_from

_MAX_TWINS = 64  # members of one set or map with one and the same hash


def decode(data: bytes) -> Any:
    """Return the one item that ``data`` is.

    Raises:
        DeserializationError: It is anything else; the message has the offset.
    """
    value, end = read_item(data, 0, 0, False)
    if end != len(data):
        raise DeserializationError(f"CBOR: {len(data) - end} bytes follow the item that ends at byte {end}")
    return value


def read_head(data: bytes, at: int) -> tuple[int, int, int]:
    """Return major type, number and the offset behind the head at ``at``.

    For major type 7 the number is the raw argument: 0 to 23, or 24 and more
    for the wider forms, which ``read_item`` reads itself.
    """
    try:
        first = data[at]
        info = first & 31
        if info < 24:
            return first >> 5, info, at + 1
        if info == 24:
            return first >> 5, data[at + 1], at + 2
        if info == 25:
            return first >> 5, _u16(data, at + 1)[0], at + 3
        if info == 26:
            return first >> 5, _u32(data, at + 1)[0], at + 5
        if info == 27:
            return first >> 5, _u64(data, at + 1)[0], at + 9
    except (IndexError, struct.error):
        raise _ends(at) from None
    if info == 31:
        raise DeserializationError(f"CBOR: indefinite length at byte {at} is not admitted")
    raise DeserializationError(f"CBOR: reserved form 0x{first:02x} at byte {at}")


def read_item(data: bytes, at: int, depth: int, frozen: bool) -> tuple[Any, int]:
    """Return the item at ``at`` and the offset behind it.

    Args:
        data: The whole.
        at: Where the item begins.
        depth: How many containers and tags are around it.
        frozen: Whether it is a key or a member and must be hashable.

    Raises:
        DeserializationError: It is not an admitted item.
    """
    # What read_head does, repeated for the short heads: they are nearly all.
    first = data[at] if at < len(data) else 0xFF
    if first < 24:
        return first, at + 1
    number = first & 31
    if number < 24:
        major, after = first >> 5, at + 1
    else:
        major, number, after = read_head(data, at)
    if major == 0:
        return number, after
    if major == 3:
        end = after + number
        if end > len(data):
            raise _ends(at)
        try:
            return str(data[after:end], "utf-8"), end
        except UnicodeDecodeError:
            raise DeserializationError(f"CBOR: text at byte {at} is not UTF-8") from None
    if major == 2:
        end = after + number
        if end > len(data):
            raise _ends(at)
        return data[after:end], end
    if major == 1:
        return -1 - number, after
    if major == 7:
        return _read_special(data, at, after)
    if major == 6:
        return _read_tagged(data, at, after, number, depth, frozen)
    if depth >= MAX_DEPTH:
        raise DeserializationError(f"CBOR: nested more than {MAX_DEPTH} deep at byte {at}")
    if major == 4:
        items, end = _read_array(data, at, after, number, depth, frozen)
        return (tuple(items) if frozen else items), end
    return _read_map(data, at, after, number, depth, frozen)


def _read_special(data: bytes, at: int, after: int) -> tuple[Any, int]:
    first = data[at]
    if first == 0xF4:
        return False, after
    if first == 0xF5:
        return True, after
    if first == 0xF6:
        return None, after
    if first == 0xFB:
        return _double(data, at + 1)[0], after
    if first == 0xFA:
        return _single(data, at + 1)[0], after
    if first == 0xF9:
        return _half(data, at + 1)[0], after
    raise DeserializationError(f"CBOR: simple value at byte {at} is not admitted")


def _read_array(data: bytes, at: int, after: int, size: int, depth: int, frozen: bool) -> tuple[list[Any], int]:
    if size > len(data) - after:
        raise _ends(at)
    items = []
    depth += 1
    for _ in range(size):
        item, after = read_item(data, after, depth, frozen)
        items.append(item)
    return items, after


def _read_map(data: bytes, at: int, after: int, size: int, depth: int, frozen: bool) -> tuple[Any, int]:
    if frozen:
        raise DeserializationError(f"CBOR: a map at byte {at} cannot be a key or a member of a set")
    if size * 2 > len(data) - after:
        raise _ends(at)
    depth += 1
    pairs = []
    weak = []
    for _ in range(size):
        key, after = read_item(data, after, depth, True)
        if type(key) is not str and type(key) is not bytes:
            weak.append(key)
        value, after = read_item(data, after, depth, False)
        pairs.append((key, value))
    if weak:
        _check_hashes(weak, at)
    built = dict(pairs)
    if len(built) != size:
        raise DeserializationError(f"CBOR: the map at byte {at} has a key twice")
    return built, after


def _read_tagged(data: bytes, at: int, after: int, tag: int, depth: int, frozen: bool) -> tuple[Any, int]:
    if tag == SET:
        major, size, inner = read_head(data, after)
        if major != 4:
            raise DeserializationError(f"CBOR: tag {SET} at byte {at} needs an array")
        if depth >= MAX_DEPTH:
            raise DeserializationError(f"CBOR: nested more than {MAX_DEPTH} deep at byte {at}")
        members, end = _read_array(data, after, inner, size, depth, True)
        _check_hashes(members, at)
        built = frozenset(members) if frozen else set(members)
        if len(built) != size:
            raise DeserializationError(f"CBOR: the set at byte {at} has a member twice")
        return built, end
    reader = ADMITTED.get(tag)
    if reader is None:
        raise DeserializationError(f"CBOR: tag {tag} at byte {at} is not admitted")
    if after < len(data) and data[after] >> 5 == 6:
        raise DeserializationError(f"CBOR: tag {tag} at byte {at} around another tag is not admitted")
    # A tag is no level of its own: what it may be around has but one.
    item, end = read_item(data, after, min(depth, MAX_DEPTH - 1), False)
    try:
        return reader(item), end
    except ValueError as error:
        raise DeserializationError(f"CBOR: tag {tag} at byte {at} {error}") from None


def check_hashes(keys: Iterable[Any]) -> None:
    """Raise ValueError for keys that would make a dict or set quadratic; before one is made of them."""
    twins: dict[int, int] = {}
    for count, key in enumerate(keys, 1):
        if count > MAX_WEAK_KEYS:
            raise ValueError(f"has more than {MAX_WEAK_KEYS} keys that are not text")
        hashed = hash(key)
        seen = twins.get(hashed, 0)
        if seen >= _MAX_TWINS:
            raise ValueError("has too many keys with the same hash")
        twins[hashed] = seen + 1


def _check_hashes(keys: Iterable[Any], at: int) -> None:
    try:
        check_hashes(keys)
    except ValueError as error:
        raise DeserializationError(f"CBOR: the map or set at byte {at} {error}") from None


def _ends(at: int) -> DeserializationError:
    return DeserializationError(f"CBOR: the data ends within the item at byte {at}")
