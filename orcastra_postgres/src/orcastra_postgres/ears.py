"""What a session is told."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Iterable

from orcastra_core.model.ids import TaskId
from orcastra_core.model.session import CancelTask, DueSoon, Fenced, Signal
from orcastra_postgres.core import Core


class Ears:
    """The signals of one session.

    Args:
        core: The open broker's.
        number: The session's.
        holds: Tells the tasks that the session holds.
        on_fenced: Called where the store turns out to know the session no more.
    """

    def __init__(
        self, core: Core, number: int, holds: Callable[[], Iterable[TaskId]], on_fenced: Callable[[], None]
    ) -> None:
        self._core = core
        self._number = number
        self._holds = holds
        self._on_fenced = on_fenced
        self._due_soon = False
        self._next_due = math.inf
        self._told: set[TaskId] = set()  # the wishes to cancel that the caller has seen
        self._telling: set[TaskId] = set()
        self._something = asyncio.Event()

    def look(self) -> None:
        """Have a waiting call look at what the store says, and at the session's end."""
        self._something.set()

    def due_soon(self) -> None:
        """Note that the next due moment has moved."""
        self._due_soon = True
        self._something.set()

    async def hear(self, fenced: bool) -> list[Signal]:
        """Return what there is to tell; a wish to cancel until the caller comes back."""
        self._something.clear()
        self._told |= self._telling
        self._telling = set()
        if fenced:
            return [Fenced()]
        ((alive, ids, due),) = await self._core.ask("wishes", self._core.domain, self._number)
        if not alive:
            self._on_fenced()
            return [Fenced()]
        if not self._core.listener.listens:  # nobody tells, so see for ourselves
            before, self._next_due = self._next_due, math.inf if due is None else due
            self._due_soon = self._due_soon or self._next_due < before
        wished = {str(one) for one in ids}
        mine = {one for one in self._holds() if one in wished} if wished else set()
        self._told &= mine
        self._telling = mine - self._told
        told: list[Signal] = [CancelTask(one) for one in sorted(self._telling)]
        if self._due_soon:
            self._due_soon = False
            told.append(DueSoon())
        return told

    async def listen(self, seconds: float) -> None:
        """Wait for something to look at."""
        try:
            async with asyncio.timeout(seconds):
                await self._something.wait()
        except TimeoutError:
            pass
