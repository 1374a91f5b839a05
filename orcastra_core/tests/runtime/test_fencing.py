"""A session that was reaped: its work is dropped, a new one is opened, and nothing is done twice."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

from core_doubles import FaultyBroker, at_work, attach, depth, events_of, until

from orcastra_core import Orcastra, current_context
from orcastra_core.backends.memory import MemorySession
from orcastra_core.model.event import EventKind
from orcastra_core.model.names import SessionId
from orcastra_core.plugins import load_broker


class Sessions:
    """Told of each session a worker opens."""

    def __init__(self) -> None:
        self.ids: list[SessionId] = []

    def __call__(self, session: SessionId, lease: float) -> None:
        self.ids.append(session)


async def test_async_tasks_are_stopped_and_run_again_in_a_new_session(url: str) -> None:
    app, sessions = Orcastra(url), Sessions()
    begun, go_on, stopped = asyncio.Semaphore(0), asyncio.Event(), list[str]()

    @app.task
    async def work() -> str:
        begun.release()
        try:
            await go_on.wait()
        except asyncio.CancelledError:
            stopped.append("stopped")
            raise
        return "done"

    async with app, at_work(app, on_session=sessions) as worker:
        handle = await work.submit()
        await begun.acquire()
        assert await app.broker.expire(sessions.ids[0]) == 1
        await begun.acquire()
        assert stopped == ["stopped"]
        assert len(sessions.ids) == 2
        go_on.set()
        assert await handle == "done"
        kinds = [event.kind for event in await events_of(app) if event.task_id == handle.id]
        assert kinds.count(EventKind.COMPLETED) == 1
        assert kinds.count(EventKind.LOST) == 1
        assert EventKind.DISCARDED in kinds
        assert worker.stats.stale >= 1
        joined = [event.session for event in await events_of(app, EventKind.WORKER_JOINED)]
        assert joined == sessions.ids
        left = await events_of(app, EventKind.WORKER_LEFT)
        assert [(event.session, event.detail["fenced"]) for event in left] == [(sessions.ids[0], True)]


async def test_the_outcome_of_a_thread_is_discarded_and_its_slot_kept(url: str) -> None:
    app, sessions = Orcastra(url), Sessions()
    begun, go_on, seen = threading.Semaphore(0), threading.Event(), list[bool]()

    @app.task
    def work() -> str:
        context = current_context()
        assert context is not None
        first = not seen
        seen.append(context.cancelled)
        begun.release()
        if first:
            go_on.wait(5)
            seen.append(context.cancelled)
        return "first" if first else "second"

    async with app, at_work(app, on_session=sessions, concurrency=2) as worker:
        handle = await work.submit()
        await asyncio.to_thread(begun.acquire)
        await app.broker.expire(sessions.ids[0])
        await asyncio.to_thread(begun.acquire)
        assert await handle == "second"
        await until(lambda: len(sessions.ids) == 2, "a new session")
        go_on.set()
        await until(lambda: worker.stats.stale >= 1, "the first outcome was thrown away")
        assert await handle == "second"
        assert worker.stats.completed == 2

        async def said() -> bool:
            return bool(await events_of(app, EventKind.DISCARDED))

        await until(said, "an event says so")
        discarded = await events_of(app, EventKind.DISCARDED)
        assert [event.task_id for event in discarded] == [handle.id]
        assert discarded[0].session == sessions.ids[0]
    assert seen == [False, False, True], "the thread was told"


async def test_with_every_slot_taken_by_threads_it_waits_for_them(url: str) -> None:
    app, sessions = Orcastra(url), Sessions()
    begun, go_on, runs = threading.Semaphore(0), threading.Event(), list[int]()

    @app.task
    def work() -> str:
        runs.append(1)
        begun.release()
        go_on.wait(5)
        return "done"

    async with app, at_work(app, on_session=sessions, concurrency=1):
        handle = await work.submit()
        await asyncio.to_thread(begun.acquire)
        await app.broker.expire(sessions.ids[0])
        await until(lambda: len(sessions.ids) == 2, "a new session")
        assert (await depth(app)).ready == 1, "not two at a time where one was meant to run"
        go_on.set()
        assert await handle == "done"
    assert len(runs) == 2


async def test_a_settle_that_comes_too_late_is_stale(url: str) -> None:
    """The reap falls between the end of the task and its settle."""
    app, sessions = Orcastra(url), Sessions()

    @app.task
    async def work(n: int) -> int:
        runs.append(n)
        return n

    runs: list[int] = []

    class Late(FaultyBroker):
        reaped = False

        async def call(self, method: str, real: Any) -> Any:
            if method == "settle" and not self.reaped:
                self.reaped = True
                await self.real.expire(sessions.ids[0])
            return await super().call(method, real)

    attach(app, Late(load_broker(url)))
    async with app, at_work(app, on_session=sessions) as worker:
        handle = await work.submit(7)
        assert await handle == 7
        assert worker.stats.stale >= 1
        kinds = [event.kind for event in await events_of(app) if event.task_id == handle.id]
        assert kinds.count(EventKind.COMPLETED) == 1
    assert runs == [7, 7]
    assert len(sessions.ids) == 2


async def test_a_lapsed_session_that_was_not_reaped_goes_on() -> None:
    app = Orcastra("memory://")
    begun, go_on = asyncio.Event(), asyncio.Event()

    @app.task
    async def work() -> str:
        begun.set()
        await go_on.wait()
        return "done"

    class Named(FaultyBroker):
        async def open_session(self, queues: Any, /, *, lease: float) -> Any:
            session = await self.real.open_session(queues, lease=lease)
            assert isinstance(session, MemorySession)
            opened.append(session)
            return session

        async def sweep(self, *, limit: int) -> Any:
            from orcastra_core.model.session import Swept

            return Swept()

    opened: list[MemorySession] = []
    attach(app, Named(load_broker("memory://")))
    async with app, at_work(app, lease=0.05) as worker:
        handle = await work.submit()
        await begun.wait()
        opened[0].suspend()
        await asyncio.sleep(0.1)
        opened[0].resume()
        assert (await app.broker.sweep(limit=10)).sessions == ()
        go_on.set()
        assert await handle == "done"
        assert worker.stats.stale == 0
    assert len(opened) == 1


async def test_a_dead_workers_tasks_are_recovered_by_anothers_sweep() -> None:
    app = Orcastra("memory://")
    ran: list[str] = []

    @app.task
    async def work() -> str:
        ran.append("ran")
        return "done"

    async with app:
        handle = await work.submit()
        from orcastra_core.model.delivery import Want
        from orcastra_core.model.names import QueueName

        queue = QueueName("default")
        dead = await app.broker.open_session([queue], lease=0.05)
        assert isinstance(dead, MemorySession)
        assert len(await dead.fetch(Want(1, [(queue, 1)]), wait=1)) == 1
        dead.suspend()
        async with at_work(app) as worker:
            assert await handle == "done"
            assert worker.stats.recovered == 1
        (lost,) = await events_of(app, EventKind.LOST)
        assert (lost.task_id, lost.session) == (handle.id, dead.id)
    assert ran == ["ran"]


async def test_a_worker_that_keeps_being_fenced_keeps_working(url: str) -> None:
    app, sessions = Orcastra(url), Sessions()
    done: list[int] = []

    @app.task
    async def work(n: int) -> int:
        await asyncio.sleep(0.001)
        done.append(n)
        return n

    async with app, at_work(app, on_session=sessions, concurrency=4):
        outcomes = await app.submit_many(work.call(n) for n in range(200))
        fenced = 0
        while fenced < 3:
            await until(lambda: len(sessions.ids) > fenced, "another session")  # noqa: B023 - asked at once
            await app.broker.expire(sessions.ids[-1])
            fenced += 1
        values = [await outcome.handle for outcome in outcomes]
        assert values == list(range(200))
        completed = [event.task_id for event in await events_of(app, EventKind.COMPLETED)]
        assert len(completed) == len(set(completed)) == 200, "none was completed twice"
