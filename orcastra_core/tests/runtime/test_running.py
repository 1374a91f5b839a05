"""How a worker runs what it fetches."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from typing import Any

import pytest
from core_doubles import FaultyBroker, at_work, attach, depth, until

from orcastra_core import Orcastra, QueueSpec, Until, current_context
from orcastra_core.model.errors import TaskFailed
from orcastra_core.model.names import QueueName
from orcastra_core.plugins import load_broker


class Gauge:
    """How many are inside at a time."""

    def __init__(self) -> None:
        self.now = self.most = 0
        self.lock = threading.Lock()

    def __enter__(self) -> None:
        with self.lock:
            self.now += 1
            self.most = max(self.most, self.now)

    def __exit__(self, *exc: object) -> None:
        with self.lock:
            self.now -= 1


async def test_the_bound_on_concurrency_is_kept_and_used(url: str) -> None:
    app, gauge, go_on = Orcastra(url), Gauge(), asyncio.Event()

    @app.task
    async def work() -> None:
        with gauge:
            await go_on.wait()

    async with app:
        handles = [outcome.handle for outcome in await app.submit_many(work.call() for _ in range(50))]
        async with at_work(app, concurrency=7) as worker:
            await until(lambda: gauge.now == 7, "seven run")
            assert (await depth(app)).ready == 43, "nothing is taken beyond the free slots"
            assert worker.stats.fetched == 7
            go_on.set()
            await asyncio.gather(*handles)
    assert gauge.most == 7


@pytest.mark.parametrize("remote, limits", [(True, [3, 3, 1]), (False, [7])])
async def test_a_store_elsewhere_is_asked_for_half_of_the_slots_at_a_time(
    url: str, remote: bool, limits: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """While it looks for the others, the first half runs."""
    monkeypatch.setattr("core_doubles.faulty.FaultySession.remote", remote)
    app = Orcastra(url)
    broker = FaultyBroker(load_broker(url))
    attach(app, broker)
    go_on = asyncio.Event()

    @app.task
    async def work() -> None:
        await go_on.wait()

    async with app:
        handles = [outcome.handle for outcome in await app.submit_many(work.call() for _ in range(50))]
        async with at_work(app, concurrency=7) as worker:
            await until(lambda: worker.stats.fetched == 7, "all slots are taken")
            assert broker.limits == limits
            go_on.set()
            await asyncio.gather(*handles)


async def test_threads_are_bounded_too(url: str) -> None:
    app, gauge, go_on = Orcastra(url), Gauge(), threading.Event()

    @app.task
    def work() -> None:
        with gauge:
            go_on.wait(5)

    async with app:
        handles = [outcome.handle for outcome in await app.submit_many(work.call() for _ in range(20))]
        async with at_work(app, concurrency=20, threads=3):
            await until(lambda: gauge.now == 3, "three threads run")
            go_on.set()
            await asyncio.gather(*handles)
    assert gauge.most == 3


async def test_higher_priorities_first_and_publish_order_within(url: str) -> None:
    app, order = Orcastra(url), list[str]()

    @app.task
    async def note(name: str) -> None:
        order.append(name)

    async with app:
        for name, priority in (("low", -3), ("a", 0), ("high", 7), ("b", 0), ("higher", 9), ("c", 0)):
            await note.options(priority=priority).submit(name)
        async with at_work(app, concurrency=1, until=Until.EMPTY):
            await until(lambda: len(order) == 6, "all ran")
    assert order == ["higher", "high", "a", "b", "c", "low"]


async def test_no_queue_starves(url: str) -> None:
    app, order = Orcastra(url), list[str]()

    @app.task
    async def note(queue: str) -> None:
        order.append(queue)

    async with app:
        await app.submit_many(note.options(queue="busy").call("busy") for _ in range(200))
        await app.submit_many(note.options(queue="quiet").call("quiet") for _ in range(5))
        async with at_work(app, queues=["busy", "quiet"], concurrency=1):
            await until(lambda: order.count("quiet") == 5, "the quiet queue was served")
    assert order.index("quiet") < 5
    assert len(order) < 50, "they took turns"


async def test_only_the_named_queues_are_served(url: str) -> None:
    app, ran = Orcastra(url), list[str]()

    @app.task
    async def note(queue: str) -> None:
        ran.append(queue)

    async with app:
        for queue in ("one", "two"):
            await note.options(queue=queue).submit(queue)
        async with at_work(app, queues=["two"]):
            await until(lambda: ran == ["two"], "two ran")
        assert (await depth(app, "one")).ready == 1


async def test_context_variables_do_not_leak_between_tasks(url: str) -> None:
    app = Orcastra(url)
    tag: contextvars.ContextVar[str] = contextvars.ContextVar("tag", default="clean")

    @app.task
    async def coloured(name: str) -> tuple[str, str, str]:
        before = tag.get()
        tag.set(name)
        await asyncio.sleep(0)
        context = current_context()
        assert context is not None
        return before, tag.get(), context.id

    @app.task
    def threaded(name: str) -> tuple[str, str, str]:
        before = tag.get()
        tag.set(name)
        context = current_context()
        assert context is not None
        return before, tag.get(), context.id

    async with app, at_work(app, concurrency=4, threads=1):
        handles = [await task.submit(f"{n}") for n in range(10) for task in (coloured, threaded)]
        seen = [await handle for handle in handles]
    assert {before for before, _, _ in seen} == {"clean"}
    assert [name for _, name, _ in seen] == [f"{n}" for n in range(10) for _ in range(2)]
    assert [ident for _, _, ident in seen] == [handle.id for handle in handles]
    assert current_context() is None


async def test_a_task_may_return_anything_that_travels(url: str) -> None:
    app = Orcastra(url)
    values: list[Any] = [None, False, 0, -(2**70), 1.5, "ü", b"\x00\xff", [], {}, {"a": [1, {"b": None}]}]

    @app.task
    async def give(n: int) -> Any:
        return values[n]

    async with app, at_work(app):
        assert [await (await give.submit(n)) for n in range(len(values))] == values


async def test_recursion_to_the_limit_fails_that_task_alone(url: str) -> None:
    app = Orcastra(url)

    @app.task
    async def fine() -> int:
        return 1

    @app.task
    async def deep() -> None:
        def down() -> None:
            down()

        down()

    async with app, at_work(app):
        with pytest.raises(TaskFailed, match="RecursionError"):
            await (await deep.submit())
        assert await (await fine.submit()) == 1


async def test_stats_say_what_was_done(url: str) -> None:
    app = Orcastra(url)

    @app.task
    async def work(n: int) -> None:
        if n % 2:
            raise ValueError(n)

    async with app:
        outcomes = await app.submit_many(work.call(n) for n in range(10))
        async with at_work(app) as worker:
            for outcome in outcomes:
                await outcome.handle.wait(timeout=5)
        stats = worker.stats
    assert (stats.fetched, stats.completed, stats.failed) == (10, 5, 5)
    assert (stats.released, stats.cancelled, stats.stale, stats.recovered) == (0, 0, 0, 0)


async def test_queues_of_the_app(url: str) -> None:
    app = Orcastra(url, queues=[QueueSpec(QueueName("spare"), max_lost=2)])

    @app.task(queue="b")
    async def one() -> None: ...

    @app.task(queue="a")
    async def other() -> None: ...

    assert app.queues() == ["b", "a", "spare"]
    assert Orcastra(url).queues() == ["default"]


async def test_a_long_task_is_never_run_twice_while_its_session_lives(url: str) -> None:
    """Three leases long, with a second worker that sweeps."""
    app, other, runs = Orcastra(url), Orcastra(url), list[int]()
    lease = 0.1 if url.startswith("memory") else 1.0
    go_on = asyncio.Event()

    @app.task
    async def long() -> str:
        runs.append(1)
        await go_on.wait()
        return "done"

    async with app, at_work(app, lease=lease) as worker, at_work(app, lease=lease) as second:
        handle = await long.submit()
        await until(lambda: bool(runs), "it began")
        await asyncio.sleep(min(3 * lease, 1.2))  # time itself is what this is about
        go_on.set()
        assert await handle == "done"
    assert runs == [1]
    assert worker.stats.recovered + second.stats.recovered == 0
    assert other is not app
