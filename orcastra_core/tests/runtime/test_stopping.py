"""How a worker ends: told to, hurried, by itself, or cut short."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest
from core_doubles import Bench, FaultyBroker, attach, depth, kinds_of, until

from orcastra_core import FixedBackoff, Orcastra, RetryPolicy, Until, current_context
from orcastra_core.model.errors import AuthenticationFailed
from orcastra_core.model.event import EventKind
from orcastra_core.plugins import load_broker


@pytest.fixture
def bench(url: str) -> Bench:
    return Bench(url)


async def test_running_tasks_end_and_nothing_more_is_fetched(bench: Bench) -> None:
    async with bench.app as app:
        worker = app.worker()
        running = asyncio.create_task(worker.run())
        handle = await bench.work.submit()
        await bench.begun.wait()
        worker.stop()
        await bench.work.submit()
        await asyncio.sleep(0.05)
        assert not running.done(), "it waits for what runs"
        bench.go_on.set()
        stats = await running
        assert await handle == "done"
        assert stats.completed == 1
        assert bench.runs == 1
        assert (await depth(app)).ready == 1


async def test_a_second_stop_hurries_and_counts_no_attempt(bench: Bench) -> None:
    async with bench.app as app:
        worker = app.worker()
        running = asyncio.create_task(worker.run())
        handle = await bench.work.submit()
        await bench.begun.wait()
        worker.stop()
        worker.stop()
        stats = await running
        assert len(bench.stopped) == 1
        assert (stats.completed, stats.failed, stats.released) == (0, 0, 1)
        (state,) = await app.broker.find([handle.id])
        assert state is not None
        assert state.counts is not None
        assert (state.counts.attempt, state.counts.lost, state.counts.released) == (0, 0, 1)
        assert await kinds_of(app, handle.id) == [EventKind.SUBMITTED, EventKind.RELEASED]
        assert (await depth(app)).ready == 1


async def test_the_grace_ends_the_waiting(bench: Bench) -> None:
    async with bench.app as app:
        worker = app.worker(grace=0.05)
        running = asyncio.create_task(worker.run())
        await bench.work.submit()
        await bench.begun.wait()
        worker.stop()
        stats = await running
        assert stats.released == 1
        assert (await depth(app)).ready == 1


async def test_a_task_that_fails_while_it_is_stopped_counts(bench: Bench) -> None:
    app = bench.app
    begun = asyncio.Event()

    @app.task(retry=RetryPolicy(max_attempts=2, backoff=FixedBackoff(0)))
    async def sore_loser() -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            raise ValueError("I was not ready") from None

    async with app:
        worker = app.worker()
        running = asyncio.create_task(worker.run())
        handle = await sore_loser.submit()
        await begun.wait()
        worker.stop()
        worker.stop()
        await running
        (state,) = await app.broker.find([handle.id])
        assert state is not None
        assert state.counts is not None
        assert state.counts.attempt == 1


async def test_a_thread_that_does_not_end_is_left_to_itself(url: str) -> None:
    app = Orcastra(url)
    begun, may_return = threading.Event(), threading.Event()

    @app.task
    def stubborn() -> None:
        begun.set()
        may_return.wait(5)

    try:
        async with app:
            worker = app.worker()
            running = asyncio.create_task(worker.run())
            await stubborn.submit()
            await asyncio.to_thread(begun.wait, 3)
            worker.stop()
            worker.stop()
            async with asyncio.timeout(3):
                stats = await running
            assert stats.released == 1
            assert (await depth(app)).ready == 1
    finally:
        may_return.set()


async def test_a_thread_that_looks_may_stop(url: str) -> None:
    app = Orcastra(url)
    asked = threading.Event()
    begun = threading.Event()

    @app.task
    def polite() -> None:
        context = current_context()
        assert context is not None
        begun.set()
        while not context.cancelled:
            threading.Event().wait(0.005)
        asked.set()

    async with app:
        worker = app.worker()
        running = asyncio.create_task(worker.run())
        await polite.submit()
        await asyncio.to_thread(begun.wait, 3)
        worker.stop()
        worker.stop()
        await running
        assert await asyncio.to_thread(asked.wait, 3)


async def test_stopped_before_it_began(bench: Bench) -> None:
    async with bench.app as app:
        worker = app.worker()
        worker.stop()
        await bench.work.submit()
        stats = await worker.run()
        assert stats.completed == 0
        assert (await depth(app)).ready + (await depth(app)).running == 1


async def test_cut_short_it_stops_its_tasks_and_gives_them_back(bench: Bench) -> None:
    async with bench.app as app:
        running = asyncio.create_task(app.worker().run())
        handle = await bench.work.submit()
        await bench.begun.wait()
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        await until(lambda: len(bench.stopped) == 1, "its task was stopped: it would run twice")
        assert (await depth(app)).ready == 1
        (state,) = await app.broker.find([handle.id])
        assert state is not None
        assert state.counts is not None
        assert (state.counts.attempt, state.counts.lost) == (0, 0)
        left = [task.get_name() for task in asyncio.all_tasks() if not task.done() and "orcastra" in task.get_name()]
        bench.go_on.set()
        async with asyncio.timeout(5):
            await app.worker(until=Until.EMPTY).run()
        assert await handle == "done"
    assert all("result" in name or "batcher" in name for name in left), left


async def test_an_error_that_no_repeat_mends_ends_it() -> None:
    app = Orcastra("memory://")
    begun, stopped = asyncio.Event(), asyncio.Event()

    @app.task
    async def work() -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            stopped.set()

    class Locked(FaultyBroker):
        locked = False

        async def call(self, method: str, real: Any) -> Any:
            if self.locked and method in ("fetch", "sweep"):
                raise AuthenticationFailed("the password was changed")
            return await super().call(method, real)

    broker = Locked(load_broker("memory://"))
    attach(app, broker)
    async with app:
        running = asyncio.create_task(app.worker().run())
        await work.submit()
        await begun.wait()
        broker.locked = True
        with pytest.raises(AuthenticationFailed, match="the password was changed"):
            async with asyncio.timeout(5):
                await running
        async with asyncio.timeout(2):
            await stopped.wait()
        assert (await depth(app)).ready == 1
