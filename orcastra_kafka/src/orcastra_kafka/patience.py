"""Asking again while partitions find their leaders."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from orcastra_kafka.share.errors import LEADER_MOVED, ShareError

T = TypeVar("T")

_PAUSE = 0.02
_LONGEST = 1.0


async def led(attempt: Callable[[], Awaitable[T]]) -> T:
    """Return what ``attempt`` returns, trying again for about a second while a partition has no leader.

    A partition that was just made, or whose leader has just died, has none for a moment. The attempt has to read who
    leads anew. Raises what the last attempt raised.
    """
    loop = asyncio.get_running_loop()
    until = loop.time() + _LONGEST
    while True:
        try:
            return await attempt()
        except ShareError as error:
            if error.code not in LEADER_MOVED or loop.time() >= until:
                raise
        await pause(_PAUSE)


async def pause(seconds: float) -> None:
    """Wait."""
    try:
        async with asyncio.timeout(seconds):
            await asyncio.get_running_loop().create_future()
    except TimeoutError:
        pass
