"""A clock that is ahead."""

from __future__ import annotations

from orcastra_core.liveness.system_clock import SystemClock


class MovedClock(SystemClock):
    """The machine's, and some seconds more.

    Attributes:
        ahead: Seconds.
    """

    def __init__(self) -> None:
        self.ahead = 0.0

    def now(self) -> float:
        return super().now() + self.ahead
