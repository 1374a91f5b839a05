"""Waiting for a while, or for something to happen meanwhile."""

from __future__ import annotations

import asyncio


async def pause(seconds: float) -> None:
    """Wait."""
    await pause_unless(None, seconds)


async def pause_unless(event: asyncio.Event | None, seconds: float) -> None:
    """Wait for an event, but not longer than so many seconds."""
    try:
        async with asyncio.timeout(seconds):
            if event is not None:
                await event.wait()
            else:
                await asyncio.get_running_loop().create_future()
    except TimeoutError:
        pass
