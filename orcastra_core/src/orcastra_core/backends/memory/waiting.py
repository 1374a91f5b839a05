"""Waiting for something to happen in the store, from any event loop."""

from __future__ import annotations

import asyncio

from orcastra_core.interfaces.clock import Clock
from orcastra_core.liveness.system_clock import SystemClock


class Waiter:
    """One call that waits. ``wake`` may be called from any thread, with the store's lock held."""

    __slots__ = ("_future", "_loop", "woken")

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._future: asyncio.Future[None] = self._loop.create_future()
        self.woken = False

    def wake(self) -> bool:
        """Wake the call; False if it was woken before, or its loop is gone."""
        if self.woken:
            return False
        self.woken = True
        if self._loop is _running():
            self._resolve()
            return True
        try:
            self._loop.call_soon_threadsafe(self._resolve)
        except RuntimeError:  # the loop was closed under the waiting call
            return False
        return True

    async def wait(self, seconds: float, clock: Clock) -> None:
        """Return once woken, or after ``seconds`` by ``clock``."""
        if isinstance(clock, SystemClock):  # the loop's own timer: no task
            try:
                async with asyncio.timeout(seconds):
                    await self._future
            except TimeoutError:
                pass
            return
        async with asyncio.TaskGroup() as group:
            timer = group.create_task(self._after(seconds, clock))
            try:
                await self._future
            finally:
                timer.cancel()

    async def _after(self, seconds: float, clock: Clock) -> None:
        await clock.sleep(seconds)
        self._resolve()

    def _resolve(self) -> None:
        if not self._future.done():
            self._future.set_result(None)


def _running() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None
