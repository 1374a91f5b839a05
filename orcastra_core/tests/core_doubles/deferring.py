"""A bench for delays that go through a Scheduler."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from core_doubles.driving import attach, depth
from core_doubles.faulty import FaultyBroker
from orcastra_core import FixedBackoff, Orcastra, RetryPolicy, current_context
from orcastra_core.interfaces.scheduler import Scheduler
from orcastra_core.model.counts import Counts
from orcastra_core.model.schedule import Schedule

LEAN = "memory://?without=delay,schedules"
"""A broker that keeps no delay and offers no Scheduler."""


class DeferringBench:
    """An app over a broker without DELAY, and a task that does what it is told, attempt by attempt."""

    def __init__(self, where: dict[str, Any], *, broker: FaultyBroker | None = None) -> None:
        self.app = app = Orcastra(**where)
        if broker is not None:
            attach(app, broker)
        self.plan: list[BaseException | None] = []
        self.attempts: list[Counts] = []
        self.moments: list[float] = []

        @app.task(name="work", retry=RetryPolicy(max_attempts=4, backoff=FixedBackoff(0.05)))
        async def work() -> str:
            context = current_context()
            assert context is not None
            self.attempts.append(Counts(attempt=context.attempt - 1))
            self.moments.append(asyncio.get_running_loop().time())
            failure = self.plan.pop(0) if self.plan else None
            if failure is not None:
                raise failure
            return "done"

        self.work = work

    @property
    def scheduler(self) -> Scheduler:
        """Where it is put off."""
        scheduler = self.app._connection.opened.scheduler
        assert scheduler is not None
        return scheduler

    async def deferred(self) -> Sequence[Schedule]:
        """What the Scheduler has."""
        return await self.scheduler.page()

    async def has_deferred(self, number: int) -> bool:
        """Whether the Scheduler has so many."""
        return len(await self.deferred()) == number

    async def nothing_runs(self) -> bool:
        """Whether no session holds anything."""
        return (await depth(self.app)).running == 0
