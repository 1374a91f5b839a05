"""Task ids: UUIDv7-shaped text, ordered by time of creation.

RFC 9562 §5.7: 48 bits of Unix milliseconds, version 7, 12 bits, variant 10,
62 bits. We fill the 12 and the first bits after the variant with a counter
(method 1 of §6.2) so that ids made by one process within a millisecond keep
their order; the rest is random.
"""

from __future__ import annotations

import hashlib
import os
import re
import time
from collections.abc import Callable
from typing import NewType

from orcastra_core.model.errors import InvalidName

TaskId = NewType("TaskId", str)

_PATTERN = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\Z")
_COUNTER_BITS = 26
_LOW_BYTES = [f"{n:02x}-" for n in range(256)]


def text_of(raw: bytes) -> TaskId:
    """Return the canonical text of a 16-byte id."""
    h = raw.hex()
    return TaskId(f"{h[:8]}-{h[8:12]}-{h[12:16]}-{h[16:20]}-{h[20:]}")


def bytes_of(task_id: TaskId) -> bytes:
    """Return the 16 bytes of an id. Raises ValueError for other text."""
    return bytes.fromhex(task_id.replace("-", ""))


def parse_id(text: object) -> TaskId:
    """Return ``text`` as a TaskId.

    Raises:
        InvalidName: It is not the canonical, lower-case text of a UUID.
    """
    if not isinstance(text, str) or not _PATTERN.match(text):
        raise InvalidName(f"{text!r} is not a task id (a lower-case UUID such as 01920f5e-…)")
    return TaskId(text)


class IdFactory:
    """Makes ids that sort in the order they were made, within this factory.

    Not thread-safe: one per event loop. After a fork a child must make its own,
    or both would draw the same random tails.
    """

    def __init__(self, now: Callable[[], float] = time.time, entropy: Callable[[int], bytes] = os.urandom) -> None:
        self._now = now
        self._entropy = entropy
        self._millis = 0
        self._head = ""
        self._counter = 0
        self._pool = ""
        self._at = 0

    def __call__(self) -> TaskId:
        millis = int(self._now() * 1000)
        if millis > self._millis:
            # a fresh millisecond starts in the lower half, leaving room to count
            self._begin(millis, int.from_bytes(self._entropy(4), "big") >> (32 - _COUNTER_BITS + 1))
        else:
            counter = self._counter + 1
            if counter >> _COUNTER_BITS:
                self._begin(self._millis + 1, 0)
            elif counter & 0xFF:
                self._counter = counter
            else:
                self._begin(self._millis, counter)
        at = self._at
        if at >= len(self._pool):
            self._pool, at = self._entropy(6 * 256).hex(), 0
        self._at = at + 12
        return TaskId(self._head + _LOW_BYTES[self._counter & 0xFF] + self._pool[at : at + 12])

    def _begin(self, millis: int, counter: int) -> None:
        """Go on from ``counter``, and write what its ids have in common with the next up to 255."""
        self._millis, self._counter = millis, counter
        text = f"{millis:012x}"
        self._head = f"{text[:8]}-{text[8:]}-7{counter >> 14:03x}-{0x80 | (counter >> 8 & 0x3F):02x}"


def derived_id(parent: TaskId, *key: bytes) -> TaskId:
    """Return the id that ``parent`` and ``key`` always lead to.

    A follow-up keeps its parent's time (so ids still sort roughly by age) and
    takes the rest from SHA-256, so that a repeat of the same step, in any
    process, names the same task.
    """
    digest = hashlib.sha256(bytes_of(parent))
    for part in key:
        digest.update(len(part).to_bytes(8, "big"))
        digest.update(part)
    tail = bytearray(digest.digest()[:10])
    tail[0] = 0x70 | (tail[0] & 0x0F)
    tail[2] = 0x80 | (tail[2] & 0x3F)
    return text_of(bytes_of(parent)[:6] + bytes(tail))
