"""Where time comes from."""

from __future__ import annotations

from typing import Protocol


class Clock(Protocol):
    """The only source of time for code that tests want to move."""

    def now(self) -> float:
        """Return Unix seconds; may jump."""
        ...

    def monotonic(self) -> float:
        """Return seconds that never go back, from an arbitrary start."""
        ...

    async def sleep(self, seconds: float, /) -> None:
        """Wait."""
        ...
