"""Running an app's worker beside a test, and looking at what came of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from orcastra_core import Orcastra, Worker
from orcastra_core.interfaces.broker import Broker
from orcastra_core.model.event import Event, EventKind
from orcastra_core.model.names import QueueName
from orcastra_core.model.queue import QueueDepth


@asynccontextmanager
async def at_work(app: Orcastra, **options: Any) -> AsyncIterator[Worker]:
    """Run a worker of an entered app; at the end what still runs is stopped at once."""
    worker = app.worker(**options)
    running = asyncio.create_task(worker.run(), name="the worker under test")
    try:
        yield worker
    finally:
        worker.stop()
        worker.stop()
        async with asyncio.timeout(8):
            await running


def attach(app: Orcastra, broker: Broker) -> None:
    """Have an app that was not entered yet use this broker object instead of one made from its URL."""
    app._connection._broker = broker


async def until(holds: Callable[[], bool | Awaitable[bool]], what: str, *, seconds: float = 3.0) -> None:
    """Wait until a condition holds that nothing announces; fail with ``what`` if it does not come to that."""
    try:
        async with asyncio.timeout(seconds):
            while True:
                answer = holds()
                if answer if isinstance(answer, bool) else await answer:
                    return
                await asyncio.sleep(0.001)
    except TimeoutError:
        raise AssertionError(f"after {seconds:g} s still not: {what}") from None


async def depth(app: Orcastra, queue: str = "default") -> QueueDepth:
    """What is in a queue."""
    (found,) = await app.broker.inspect([QueueName(queue)])
    return found


async def events_of(app: Orcastra, *kinds: EventKind) -> list[Event]:
    """The log's events, all or those of some kinds."""
    assert app.broker.events is not None
    events: list[Event] = []
    after: str | None = None
    while entries := await app.broker.events.read(after=after):
        events += [entry.event for entry in entries]
        after = entries[-1].cursor
    return [event for event in events if not kinds or event.kind in kinds]


async def kinds_of(app: Orcastra, task_id: str) -> list[EventKind]:
    """What happened to one task, in order."""
    return [event.kind for event in await events_of(app) if event.task_id == task_id]
