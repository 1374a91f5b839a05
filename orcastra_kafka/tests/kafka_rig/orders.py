"""A client that submits what crews run, and keeps what was confirmed."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from server_rig.crews import shop

from orcastra_core import Orcastra
from orcastra_core.model.errors import PublishUnknown

SHOP = shop('scheduler="sqlite:///delayed.db"', ", result_ttl=0.0")
"""What workers run: delays are kept beside Kafka, and no results."""


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

    async def submit_all(self, total: int, seconds: float, *, first: int = 0, at_once: int = 200) -> None:
        """Submit tasks until there are so many, numbered from ``first``, in pieces."""
        for begin in range(first, total, at_once):
            await self.submit(range(begin, min(total, begin + at_once)), seconds)
