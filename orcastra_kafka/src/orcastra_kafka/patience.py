"""Asking again while partitions find their leaders."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from orcastra_kafka.share.errors import LEADER_MOVED, ShareError
from orcastra_kafka.share.pauses import pause

__all__ = ["led", "pause"]

T = TypeVar("T")

_PAUSE = 0.02


async def led(attempt: Callable[[], Awaitable[T]], *, within: float = 2.0) -> T:
    """Return what ``attempt`` returns, trying again for up to ``within`` seconds while a partition has no leader.

    A partition that was just made is in the metadata before its leader has opened it, and one whose leader has just
    died has none for a moment. The attempt has to read who leads anew. Raises what the last attempt raised.
    """
    loop = asyncio.get_running_loop()
    until = loop.time() + within
    while True:
        try:
            return await attempt()
        except ShareError as error:
            if error.code not in LEADER_MOVED or loop.time() + _PAUSE >= until:
                raise
        await pause(_PAUSE)
