"""Results on their way to one client."""

from __future__ import annotations

from collections import deque

from orcastra_core.backends.memory.waiting import Waiter
from orcastra_core.model.result import Result

BUFFER = 100_000
"""Results a feed keeps for a client that does not ask; the oldest go first, and can still be read."""


class FeedState:
    """A buffer and the call that waits for it."""

    __slots__ = ("buffer", "channel", "closed", "waiter")

    def __init__(self, channel: str) -> None:
        self.channel = channel
        self.buffer: deque[Result] = deque(maxlen=BUFFER)
        self.closed = False
        self.waiter: Waiter | None = None

    def push(self, result: Result) -> None:
        """Add a result and wake the reader."""
        self.buffer.append(result)
        if self.waiter is not None:
            self.waiter.wake()

    def close(self) -> None:
        """Take nothing more and free the reader."""
        self.closed = True
        if self.waiter is not None:
            self.waiter.wake()

    def take(self) -> list[Result]:
        """Return what has come in."""
        taken = list(self.buffer)
        self.buffer.clear()
        return taken
