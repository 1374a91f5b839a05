"""A clock that stands still until it is moved."""

from __future__ import annotations

import asyncio
import heapq

from orcastra_conformance.engine.steps import turns


class VirtualClock:
    """Time that only ``advance`` moves; implements ``interfaces.Clock``.

    For one event loop at a time.
    """

    def __init__(self, start: float = 1_750_000_000.0) -> None:
        self._start = start
        self._passed = 0.0
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []
        self._count = 0

    def now(self) -> float:
        return self._start + self._passed

    def monotonic(self) -> float:
        return self._passed

    async def sleep(self, seconds: float, /) -> None:
        if seconds <= 0:
            await turns(1)
            return
        self._count += 1
        woken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (self._passed + seconds, self._count, woken))
        await woken

    async def advance(self, seconds: float) -> None:
        """Move time on, waking each sleeper at its moment, and let what it woke run."""
        await turns(5)
        target = self._passed + seconds
        while self._sleepers and self._sleepers[0][0] <= target:
            self._passed, _, woken = heapq.heappop(self._sleepers)
            if not woken.done():
                woken.set_result(None)
                await turns(5)
        self._passed = target
        await turns(5)
