"""A client that submits what crews run, and keeps what was confirmed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import Any

from orcastra_core import Orcastra
from orcastra_core.model.errors import PublishUnknown


class Orders:
    """Submits by name the tasks that the workers have.

    Attributes:
        app: To be entered.
        confirmed: Numbers of the tasks of which the broker said that it has them.
        errors: Why others were not confirmed.
    """

    def __init__(self, url: str) -> None:
        self.app = Orcastra(url)
        self.confirmed: set[int] = set()
        self.errors: list[BaseException] = []

        @self.app.task(name="note", queue="q", result_ttl=0.0)
        async def note(number: int, seconds: float) -> int:
            raise NotImplementedError

        self.note: Any = note

    async def submit(self, numbers: Iterable[int], seconds: float) -> None:
        """Submit a task for each number, once: what gets no confirmation is given up."""
        numbers = list(numbers)
        outcomes = await self.app.submit_many(self.note.call(number, seconds) for number in numbers)
        for number, outcome in zip(numbers, outcomes, strict=True):
            if outcome.error is None:
                self.confirmed.add(number)
            else:
                assert isinstance(outcome.error, PublishUnknown), outcome.error
                self.errors.append(outcome.error)

    async def submit_all(self, total: int, seconds: float, *, at_once: int = 200) -> None:
        """Submit so many tasks, numbered from 0, in pieces."""
        for first in range(0, total, at_once):
            await self.submit(range(first, min(total, first + at_once)), seconds)


async def until(holds: Callable[[], bool], what: str, *, seconds: float = 10.0) -> None:
    """Wait until a condition holds that nothing announces; fail with ``what`` if it does not come to that."""
    try:
        async with asyncio.timeout(seconds):
            while True:
                if holds():
                    return
                await asyncio.sleep(0.02)
    except TimeoutError:
        raise AssertionError(f"after {seconds:g} s still not: {what}") from None
