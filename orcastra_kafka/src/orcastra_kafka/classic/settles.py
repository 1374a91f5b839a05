"""The settles of a session by their numbers: a repeat gets the answer of the first, or tries again where that failed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from functools import partial
from typing import Any

from orcastra_core.model.errors import BrokerClosed
from orcastra_core.model.settlement import Settled

KEPT = 8
"""Settles whose answers are kept for a repeat."""


class Settles:
    """Runs each settle once, whoever gives up waiting for it. For one event loop.

    Args:
        within: Seconds that a caller waits, at most. The settle itself goes on.
    """

    def __init__(self, *, within: float) -> None:
        self._within = within
        self._tasks: dict[int, asyncio.Task[Sequence[Settled]]] = {}
        self._last = 0

    async def once(
        self, number: int, settle: Callable[[], Coroutine[Any, Any, Sequence[Settled]]]
    ) -> Sequence[Settled] | None:
        """Return the answers to a settle; None if there were later ones and its own are not kept any more.

        Args:
            number: The caller's; each is higher than the one before.
            settle: Called for a number that is new, or has failed. If it raises, nothing took effect.

        Raises:
            TimeoutError: No answer within the time.
            BrokerClosed: It was given up; besides whatever ``settle`` raises.
        """
        task = self._tasks.get(number)
        if task is None:
            if number <= self._last:
                return None
            # not the caller's child: he may give up, and ask again
            task = asyncio.get_running_loop().create_task(settle(), name=f"settle {number}")
            # by the task itself: its callers are not always there to see it fail, and cannot tell its error from their own
            task.add_done_callback(partial(self._over, number))
            self._last, self._tasks[number] = number, task
            for old in [one for one in self._tasks if one <= number - KEPT]:
                self._tasks.pop(old).cancel()
        try:
            async with asyncio.timeout(self._within):
                return await asyncio.shield(task)
        except asyncio.CancelledError:
            if task.cancelled():
                raise BrokerClosed("the session has ended") from None
            raise

    def _over(self, number: int, task: asyncio.Task[Sequence[Settled]]) -> None:
        """Forget a settle that failed: its repeat tries again."""
        if not task.cancelled() and task.exception() is not None and self._last == number:
            del self._tasks[number]
            self._last -= 1

    async def finished(self) -> None:
        """Wait until none is on its way."""
        if going := [task for task in self._tasks.values() if not task.done()]:
            await asyncio.wait(going)

    def cancel(self) -> None:
        """Give up those that are on their way."""
        for task in self._tasks.values():
            task.cancel()
