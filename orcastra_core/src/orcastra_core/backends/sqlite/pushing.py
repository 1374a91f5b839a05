"""How a result is kept, and how it goes to whoever waits for it."""

from __future__ import annotations

from orcastra_core.backends.sqlite.doorbell import MAX_DATAGRAM
from orcastra_core.backends.sqlite.settings import LIMITS
from orcastra_core.backends.sqlite.tx import Effects

_LARGEST_PUSHED = MAX_DATAGRAM - 8

HINT_GRACE = 10.0
"""Seconds a result is kept at least that is too large to be pushed, so that who is told of it can read it."""


def keep(now: float, ttl: float, encoded: bytes, *, pushed: bool) -> tuple[bytes | None, float]:
    """Return the result as it is stored, and until when; without one, until when the id is remembered."""
    if pushed and len(encoded) > _LARGEST_PUSHED:
        ttl = max(ttl, HINT_GRACE)
    if ttl > 0:
        return encoded, now + ttl
    return None, now + LIMITS.publish_window


def push(effects: Effects, reply: str, task_id: str, encoded: bytes) -> None:
    """Have a result sent to a channel, or word that it can be read."""
    if len(encoded) > _LARGEST_PUSHED:
        effects.hints.append((reply, task_id))
    else:
        effects.pushes.append((reply, encoded))
