"""A clock that a test moves by hand."""

from __future__ import annotations

import asyncio


class ManualClock:
    """Time stands still but for ``advance``; implements ``interfaces.Clock``."""

    def __init__(self, start: float = 1_750_000_000.0) -> None:
        self.start = start
        self.passed = 0.0
        self.slept: list[float] = []
        self._sleepers: list[tuple[float, asyncio.Future[None]]] = []

    def now(self) -> float:
        return self.start + self.passed

    def monotonic(self) -> float:
        return self.passed

    async def sleep(self, seconds: float, /) -> None:
        self.slept.append(seconds)
        woken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._sleepers.append((self.passed + seconds, woken))
        await woken

    @property
    def sleeping(self) -> int:
        """How many calls of ``sleep`` wait."""
        return sum(not woken.done() for _, woken in self._sleepers)

    def advance(self, seconds: float) -> None:
        """Move time and wake whoever slept until now; what they do then happens as the loop turns."""
        self.passed += seconds
        due = [woken for at, woken in self._sleepers if at <= self.passed]
        self._sleepers = [(at, woken) for at, woken in self._sleepers if at > self.passed]
        for woken in due:
            if not woken.done():
                woken.set_result(None)


class EagerClock(ManualClock):
    """Whoever sleeps is woken with the next turn of the loop, and that much time has passed."""

    async def sleep(self, seconds: float, /) -> None:
        self.slept.append(seconds)
        self.passed += seconds
        await asyncio.sleep(0)
