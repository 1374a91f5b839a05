"""A client that submits what crews run, and keeps what was confirmed."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Iterable
from typing import Any

from orcastra_core import Orcastra
from orcastra_core.model.event import Event
from orcastra_core.model.ids import TaskId
from orcastra_core.model.task_state import State
from server_rig.driving import completions, insisted, until


class Orders:
    """Submits by name the tasks that the workers have.

    Attributes:
        app: To be entered.
        note: Signs in the ledger, then works for so many seconds.
        pass_by: Leaves nothing behind.
        confirmed: The number of each task of which the store said that it has it, and when we heard it, Unix seconds, by id.
        errors: Why others were not confirmed.
    """

    def __init__(self, url: str) -> None:
        self.app = Orcastra(url)
        self.confirmed: dict[TaskId, tuple[int, float]] = {}
        self.errors: list[BaseException] = []

        @self.app.task(name="note", queue="q")
        async def note(number: int, seconds: float) -> int:
            raise NotImplementedError

        @self.app.task(name="pass", queue="q", result_ttl=0.0)
        async def pass_by() -> None:
            raise NotImplementedError

        self.note: Any = note
        self.pass_by: Any = pass_by

    async def submit(self, numbers: Iterable[int], seconds: float) -> None:
        """Submit a task for each number, once: what gets no confirmation is given up."""
        numbers = list(numbers)
        outcomes = await self.app.submit_many(self.note.call(number, seconds) for number in numbers)
        now = time.time()
        for number, outcome in zip(numbers, outcomes, strict=True):
            if outcome.error is None:
                self.confirmed[outcome.handle.id] = number, now
            else:
                self.errors.append(outcome.error)

    async def submit_all(self, total: int, seconds: float, *, at_once: int = 200) -> None:
        """Submit so many tasks, numbered from 0, in pieces."""
        for first in range(0, total, at_once):
            await self.submit(range(first, min(total, first + at_once)), seconds)

    async def unfinished(self) -> dict[TaskId, State | None]:
        """Return where those that were confirmed are, but for the finished; None: nobody knows them."""
        ids = sorted(self.confirmed)
        found = await insisted(lambda: self.app.broker.find(ids))
        states = {one: None if there is None else there.state for one, there in zip(ids, found, strict=True)}
        return {one: state for one, state in states.items() if state is not State.FINISHED}

    async def completed(self) -> Counter[str]:
        """Count how often the log has each task completed."""
        return await insisted(lambda: completions(self.app.broker))

    async def all_finished(self, *, seconds: float) -> None:
        """Wait until everything that was confirmed has finished."""

        left: dict[TaskId, State | None] = {}

        async def over() -> bool:
            left.clear()
            left.update(await self.unfinished())
            if left:
                await asyncio.sleep(min(0.25, len(left) / 10_000))
            return not left

        try:
            await until(over, "all that was confirmed has finished", seconds=seconds)
        except AssertionError as error:
            raise AssertionError(f"{error}: {Counter(map(str, left.values()))}") from None

    async def history(self) -> list[Event]:
        """Return the event log."""
        log, events, cursor = self.app.broker.events, list[Event](), None
        assert log is not None
        while entries := await log.read(after=cursor):
            cursor = entries[-1].cursor
            events += [entry.event for entry in entries]
        return events
