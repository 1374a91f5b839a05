"""Workers that end by themselves, and workers that come and go."""

from __future__ import annotations

import asyncio

import pytest
from core_doubles import Bench, depth

from orcastra_core import FixedBackoff, Orcastra, RetryPolicy, Until


@pytest.fixture
def bench(url: str) -> Bench:
    return Bench(url)


async def test_until_nothing_is_ready(bench: Bench) -> None:
    async with bench.app as app:
        bench.go_on.set()
        await app.submit_many(bench.work.call() for _ in range(300))
        await bench.work.options(delay=3600).submit()
        async with asyncio.timeout(5):
            stats = await app.worker(until=Until.EMPTY, concurrency=10).run()
        assert stats.completed == 300
        found = await depth(app)
        assert (found.ready, found.running, found.delayed) == (0, 0, 1)


async def test_until_empty_waits_for_what_runs_and_for_what_it_submits(url: str) -> None:
    app, ran = Orcastra(url), list[int]()

    @app.task
    async def chain(n: int) -> None:
        await asyncio.sleep(0.02)
        ran.append(n)
        if n:
            await chain.submit(n - 1)

    async with app:
        await chain.submit(4)
        async with asyncio.timeout(5):
            await app.worker(until=Until.EMPTY).run()
    assert ran == [4, 3, 2, 1, 0]


async def test_until_drained_waits_for_the_delayed_too(url: str) -> None:
    app, ran = Orcastra(url), list[int]()

    @app.task(retry=RetryPolicy(max_attempts=3, backoff=FixedBackoff(0.1)))
    async def flaky() -> None:
        ran.append(1)
        if len(ran) < 3:
            raise OSError

    async with app:
        await flaky.options(delay=0.1).submit()
        async with asyncio.timeout(5):
            stats = await app.worker(until=Until.DRAINED).run()
        assert stats.completed == 1
    assert len(ran) == 3


async def test_an_empty_store_is_empty_at_once(bench: Bench) -> None:
    async with bench.app as app:
        async with asyncio.timeout(2):
            for end in (Until.EMPTY, Until.DRAINED):
                assert (await app.worker(until=end).run()).fetched == 0


async def test_many_workers_of_one_app(url: str) -> None:
    app, ran = Orcastra(url), list[int]()

    @app.task
    async def note(n: int) -> None:
        ran.append(n)

    async with app:
        await app.submit_many(note.call(n) for n in range(1000))
        async with asyncio.timeout(8):
            stats = await asyncio.gather(*(app.worker(until=Until.EMPTY, concurrency=20).run() for _ in range(4)))
        assert sum(one.completed for one in stats) == 1000
    assert sorted(ran) == list(range(1000))


async def test_starting_and_stopping_again_and_again(bench: Bench) -> None:
    async with bench.app as app:
        async with asyncio.timeout(8):
            for turns in range(12):
                worker = app.worker()
                running = asyncio.create_task(worker.run())
                for _ in range(turns):
                    await asyncio.sleep(0)
                worker.stop() if turns % 2 else running.cancel()
                await asyncio.gather(running, return_exceptions=True)
        bench.go_on.set()
        handle = await bench.work.submit()
        await app.worker(until=Until.EMPTY).run()
        assert await handle == "done"
