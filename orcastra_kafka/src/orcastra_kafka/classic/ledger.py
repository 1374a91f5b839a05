"""What a commit says of a partition beside its watermark, as text that fits into the commit's metadata."""

from __future__ import annotations

import base64
import binascii
import zlib
from collections.abc import Mapping, Sequence
from types import MappingProxyType

import attrs
import cbor2

from orcastra_kafka.classic.lines import ID_BYTES, KEY_BYTES
from orcastra_kafka.classic.window import WINDOW, Window

_ROOM = 4000
"""Characters; a broker takes 4096 as it comes (offset.metadata.max.bytes)."""
_VERSION = "o1"
_HEAD = KEY_BYTES + ID_BYTES
HEADS = 150
"""Ordering keys whose first task is elsewhere that are remembered, at most."""
NO_HEADS: Mapping[bytes, bytes] = MappingProxyType({})


@attrs.frozen
class Mark:
    """What is to be remembered of an offset that is not done.

    Attributes:
        held: Whether a session has it in its hands.
        attempt: Attempts that failed, beside those that the record itself tells of.
        lost: Sessions that died with it since its last settlement.
        released: Times it was handed back, beside those that the record tells of.
        untold: Of the sessions that died, those of which no event tells yet.
    """

    held: bool = False
    attempt: int = 0
    lost: int = 0
    released: int = 0
    untold: int = 0


HELD = Mark(held=True)
_PLAIN = Mark()


def width(heads: int) -> int:
    """Return how many offsets may lie between the watermark and the last that was read, with so many ``heads`` to write down."""
    return min(WINDOW * 3 // 4, 8 * (_ROOM * 4 // 5 - 300 - _HEAD * min(heads, HEADS)))


def write(window: Window, marks: Mapping[int, Mark], heads: Mapping[bytes, bytes] = NO_HEADS) -> str:
    """Return the metadata for a commit of ``window.base``. Where there is no room for all marks the plainest are left out.

    Args:
        window: What is done.
        marks: By offset.
        heads: By ordering key, each in the digests of ``lines``; the last ones that came in are kept.
    """
    held = [offset - window.base for offset, mark in marks.items() if mark is HELD]
    chosen = [
        [offset - window.base, int(mark.held), mark.attempt, mark.lost, mark.released, mark.untold]
        for offset, mark in marks.items()
        if mark is not HELD and mark != _PLAIN
    ]
    lines = b"".join(key + name for key, name in list(heads.items())[-HEADS:])
    while True:
        text = _pack(cbor2.dumps([window.base, _bytes(window.bits), _bits(held), lines, *chosen]))
        if len(text) <= _ROOM:
            return text
        if held:
            held = []
        elif chosen:
            del chosen[len(chosen) // 2 :]
        elif lines:
            lines = lines[len(lines) // _HEAD // 2 * _HEAD or _HEAD :]
        else:
            return text


def read(offset: int, text: str | None) -> tuple[Window, dict[int, Mark], dict[bytes, bytes]]:
    """Return what ``write`` was given. Metadata that is not ours, or of another offset, says nothing."""
    try:
        base, bits, held, lines, *rows = cbor2.loads(_unpack(text or ""))
        window = Window(base, int.from_bytes(bits, "little"))
        marks = {
            base + 8 * at + bit: HELD for at, byte in enumerate(held) if byte for bit in range(8) if byte >> bit & 1
        }
        marks |= {base + place: Mark(bool(held), *counts) for place, held, *counts in rows}
        pieces = [lines[at : at + _HEAD] for at in range(0, len(lines), _HEAD)]
        heads = {piece[:KEY_BYTES]: piece[KEY_BYTES:] for piece in pieces}
    except (ValueError, TypeError, zlib.error, binascii.Error, cbor2.CBORDecodeError):
        return Window(offset), {}, {}
    return (window, marks, heads) if base == offset else (Window(offset), {}, {})


def _bits(places: Sequence[int]) -> bytes:
    bits = bytearray(max(places, default=-1) // 8 + 1)
    for place in places:
        bits[place >> 3] |= 1 << (place & 7)
    return bytes(bits)


def _bytes(bits: int) -> bytes:
    return bits.to_bytes((bits.bit_length() + 7) // 8, "little")


def _pack(data: bytes) -> str:
    small = zlib.compress(data, 6)
    kind, data = ("z", small) if len(small) < len(data) else ("r", data)
    return _VERSION + kind + base64.b85encode(data).decode()


def _unpack(text: str) -> bytes:
    if not text.startswith(_VERSION) or text[2:3] not in ("r", "z"):
        raise ValueError("another format")
    data = base64.b85decode(text[3:])
    return zlib.decompress(data) if text[2] == "z" else data
