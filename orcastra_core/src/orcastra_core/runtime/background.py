"""Tasks that live as long as their owner's ``async with``, entered and left by different tasks maybe."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any

_log = logging.getLogger("orcastra.runtime")


class Background:
    """A set of tasks that its owner stops: for where a TaskGroup cannot stand.

    A TaskGroup has to be left by the task that entered it, and cancels that
    task when a child fails; an app's ``async with`` may be entered by a fixture's task
    and left by another's. A task that fails here is logged.
    """

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()

    def spawn(self, coroutine: Coroutine[Any, Any, None], name: str) -> None:
        """Start a task."""
        task = asyncio.get_running_loop().create_task(coroutine, name=f"orcastra {name}")
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    async def stop(self) -> None:
        """Cancel all and wait for their end."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("%s ended: %s", task.get_name(), error, exc_info=error)
