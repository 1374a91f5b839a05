"""A synchronous task cannot be stopped, only asked: what that means."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest
from core_doubles import at_work, until

from orcastra_core import Cancelled, Orcastra, current_context
from orcastra_core.model.errors import TaskCancelled, TaskTimeout


def make(url: str) -> tuple[Orcastra, Any]:
    app = Orcastra(url)

    @app.task(name="fine")
    async def fine() -> str:
        return "fine"

    return app, fine


async def test_a_thread_keeps_its_slot_and_is_judged_when_it_returns(url: str) -> None:
    app, fine = make(url)
    may_return, told = threading.Event(), list[bool]()

    @app.task(timeout=0.05)
    def slow() -> str:
        context = current_context()
        assert context is not None
        told.append(context.cancelled)
        may_return.wait(5)
        told.append(context.cancelled)
        return "too late"

    async with app, at_work(app, concurrency=1) as worker:
        handle = await slow.submit()
        behind = await fine.submit()
        await until(lambda: len(told) == 1, "it began")
        with pytest.raises(TimeoutError):
            await handle.wait(timeout=0.15)
        assert worker.stats.fetched == 1, "its slot is not given away while the thread still runs"
        may_return.set()
        with pytest.raises(TaskTimeout):
            await handle
        assert await behind == "fine"
    assert told == [False, True]


async def test_cancelling_a_thread_asks_it(url: str) -> None:
    app, _ = make(url)
    begun = threading.Event()

    @app.task
    def polite() -> str:
        context = current_context()
        assert context is not None
        begun.set()
        for _ in range(1000):
            if context.cancelled:
                raise asyncio.CancelledError
            threading.Event().wait(0.005)
        return "never asked"

    async with app, at_work(app):
        handle = await polite.submit()
        await asyncio.to_thread(begun.wait, 3)
        assert await handle.cancel() is Cancelled.SIGNALLED
        with pytest.raises(TaskCancelled):
            await handle


async def test_cancelling_a_thread_that_never_began(url: str) -> None:
    app, _ = make(url)
    go_on, ran = threading.Event(), list[int]()

    @app.task
    def work(n: int) -> None:
        ran.append(n)
        go_on.wait(5)

    async with app, at_work(app, threads=1) as worker:
        first, second = await work.submit(1), await work.submit(2)
        await until(lambda: worker.stats.fetched == 2 and ran == [1], "one runs, one waits for the thread")
        assert await second.cancel() is Cancelled.SIGNALLED
        with pytest.raises(TaskCancelled):
            await second
        go_on.set()
        await first
    assert ran == [1]
