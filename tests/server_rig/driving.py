"""Workers beside a test, calls that insist, and what came of them."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from orcastra_core import Orcastra, Worker
from orcastra_core.interfaces.broker import Broker
from orcastra_core.model.errors import BrokerError
from orcastra_core.model.event import EventKind

T = TypeVar("T")


class Shop:
    """An app with one task, and what it was told that it stored.

    Attributes:
        app: The app, to be entered.
        task: Waits for ``seconds``, then notes its number.
        ran: How often each number was run.
        stored: Ids of the tasks of which the store said that it has them.
        told_at: When it said so of each, by the event loop's clock.
        errors: Why others were not confirmed.
    """

    def __init__(self, url: str, *, seconds: float = 0.0) -> None:
        self.app = Orcastra(url)
        self.ran: Counter[int] = Counter()
        self.stored: set[str] = set()
        self.told_at: dict[str, float] = {}
        self.errors: list[BaseException] = []

        @self.app.task(name="note", queue="q")
        async def note(number: int) -> int:
            await asyncio.sleep(seconds)
            self.ran[number] += 1
            return number

        self.task: Any = note

    async def submit(self, numbers: range) -> None:
        """Submit a task for each number, and note what was confirmed."""
        for outcome in await self.app.submit_many(self.task.call(number) for number in numbers):
            if outcome.error is not None:
                self.errors.append(outcome.error)
                continue
            self.stored.add(outcome.handle.id)
            self.told_at[outcome.handle.id] = asyncio.get_running_loop().time()


@asynccontextmanager
async def at_work(app: Orcastra, **options: Any) -> AsyncIterator[Worker]:
    """Run a worker of an entered app. That it goes on by itself is the point: it is stopped at the end, never restarted."""
    worker = app.worker(**options)
    running = asyncio.create_task(worker.run(), name="the worker under test")
    try:
        yield worker
        assert not running.done(), "the worker still works"
    except BaseException:
        running.cancel()
        await asyncio.wait([running])
        raise
    worker.stop()
    worker.stop()
    async with asyncio.timeout(15):
        await running


async def until(holds: Callable[[], bool | Awaitable[bool]], what: str, *, seconds: float = 10.0) -> None:
    """Wait until a condition holds that nothing announces; fail with ``what`` if it does not come to that."""
    try:
        async with asyncio.timeout(seconds):
            while True:
                answer = holds()
                if answer if isinstance(answer, bool) else await answer:
                    return
                await asyncio.sleep(0.005)
    except TimeoutError:
        raise AssertionError(f"after {seconds:g} s still not: {what}") from None


async def insisted(call: Callable[[], Awaitable[T]], *, seconds: float = 10.0) -> T:
    """Repeat a call as the runtime would, as long as its error says that a repeat may succeed."""
    async with asyncio.timeout(seconds):
        while True:
            try:
                return await call()
            except BrokerError as error:
                if not error.retryable:
                    raise
                await asyncio.sleep(0.02)


async def completions(broker: Broker) -> Counter[str]:
    """Count how often the log has each task completed."""
    counts: Counter[str] = Counter()
    cursor: str | None = None
    assert broker.events is not None
    while entries := await broker.events.read(after=cursor):
        cursor = entries[-1].cursor
        counts.update(str(one.event.task_id) for one in entries if one.event.kind is EventKind.COMPLETED)
    return counts
