"""The lines of a partition's ordering keys: the next task of a key waits until the one before it is settled for good."""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any

from orcastra_kafka.publish import LEVEL, ORDER

KEY_BYTES = 8
ID_BYTES = 6


def key_of(record: Any) -> bytes | None:
    """Return what stands for a record's ordering key; None where it has none."""
    for name, value in record.headers:
        if name == ORDER:
            return hashlib.blake2b(value, digest_size=KEY_BYTES).digest()
    return None


def level_of(record: Any) -> int:
    """Return the priority of a record with an ordering key: all of a key keep to one topic, whatever theirs is."""
    for name, value in record.headers:
        if name == LEVEL:
            try:
                return int(value)
            except ValueError:
                break  # somebody else's record
    return 0


def foresee(heads: dict[bytes, bytes], record: Any, *, moved: bool) -> None:
    """Note in ``heads`` that a record is over: it ended for good, or is elsewhere and comes back under its id."""
    key = key_of(record)
    if key is None:
        return
    if moved:
        heads[key] = _name(record)
    elif heads.get(key) == _name(record):
        del heads[key]


class Lines:
    """Who of each key may go, and who waits.

    Args:
        heads: Of keys whose first task went through a scheduler, by which id it comes, or came, back.

    Attributes:
        used: Whether there ever was a key.
    """

    def __init__(self, heads: Mapping[bytes, bytes]) -> None:
        self.heads = dict(heads)
        self.used = bool(heads)
        self._going: set[bytes] = set()
        self._waiting: dict[bytes, deque[Any]] = {}

    def admit(self, record: Any, key: bytes) -> bool:
        """Whether a record that was read may go; else it waits for its turn."""
        self.used = True
        if key not in self._going and self.heads.get(key) in (None, _name(record)):
            self._going.add(key)
            return True
        self._waiting.setdefault(key, deque()).append(record)
        return False

    def over(self, record: Any, *, moved: bool) -> Sequence[Any]:
        """Note that one that went is over; return who of its key goes next, if anybody."""
        key = key_of(record)
        if key is None:
            return ()
        foresee(self.heads, record, moved=moved)
        self._going.discard(key)
        line, head = self._waiting.get(key) or deque(), self.heads.get(key)
        for waiting in line:
            if head in (None, _name(waiting)):
                line.remove(waiting)
                if not line:
                    del self._waiting[key]
                self._going.add(key)
                return (waiting,)
        return ()


def _name(record: Any) -> bytes:
    return bytes(record.key or b"")[-ID_BYTES:].rjust(ID_BYTES, b"\0")
