"""Follow-ups appear with their task's settlement, once, or not at all."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from core_doubles import FaultyBroker, at_work, attach, depth, until

from orcastra_core import FixedBackoff, Orcastra, RetryPolicy, current_context
from orcastra_core.model.envelope import Envelope
from orcastra_core.model.errors import TaskFailed
from orcastra_core.model.ids import derived_id
from orcastra_core.model.names import QueueName, SessionId, TaskName
from orcastra_core.plugins import load_broker

BODY = b"\x82\x80\xa0"


def follow(task: str, queue: str = "default", **fields: Any) -> Callable[[int], Envelope]:
    """A follow-up whose id follows from its task's and its place."""
    context = current_context()
    assert context is not None
    parent = context.id

    def make(position: int) -> Envelope:
        task_id = derived_id(parent, str(position).encode())
        return Envelope(task_id, QueueName(queue), TaskName(task), BODY, parent=parent, **fields)

    return make


def make(url: str, broker: FaultyBroker | None = None) -> tuple[Orcastra, list[str], list[Any]]:
    app = Orcastra(url)
    if broker is not None:
        attach(app, broker)
    ran: list[str] = []
    parents: list[Any] = []

    @app.task(name="child")
    async def child() -> None:
        context = current_context()
        assert context is not None
        ran.append("child")
        parents.append(context.envelope.parent)

    return app, ran, parents


def then(name: str, **fields: Any) -> Envelope:
    context = current_context()
    assert context is not None
    return context.follow_up(follow(name, **fields))


async def test_with_the_settlement(url: str) -> None:
    app, ran, parents = make(url)
    emitted = asyncio.Event()
    go_on = asyncio.Event()

    @app.task(name="parent")
    async def parent() -> list[str]:
        ids = [then("child").id for _ in range(3)]
        emitted.set()
        await go_on.wait()
        return list(ids)

    async with app, at_work(app):
        handle = await app.orca("parent").submit()
        await emitted.wait()
        assert (await depth(app)).ready == 0, "nothing is there before the task is settled"
        assert ran == []
        go_on.set()
        ids = await handle
        assert ids == [derived_id(handle.id, str(n).encode()) for n in range(3)]
        for ident in ids:
            await app.handle(ident).wait(timeout=5)
    assert ran == ["child"] * 3
    assert parents == [handle.id] * 3


async def test_from_a_thread(url: str) -> None:
    app, ran, _ = make(url)

    @app.task(name="parent")
    def parent() -> None:
        then("child")

    async with app, at_work(app):
        await (await app.orca("parent").submit())
        await until(lambda: ran == ["child"], "the child ran")


async def test_a_failed_attempt_emits_nothing(url: str) -> None:
    app, ran, _ = make(url)
    attempts: list[int] = []

    @app.task(name="parent", retry=RetryPolicy(max_attempts=2, backoff=FixedBackoff(0)))
    async def parent() -> None:
        attempts.append(1)
        then("child")
        if len(attempts) == 1:
            raise OSError

    @app.task(name="hopeless")
    async def hopeless() -> None:
        then("child")
        raise OSError

    async with app, at_work(app):
        await (await app.orca("parent").submit())
        with pytest.raises(TaskFailed):
            await (await app.orca("hopeless").submit())
        await until(lambda: ran == ["child"], "the one child ran")
        assert (await depth(app)).ready == 0
    assert ran == ["child"]


@pytest.mark.parametrize("effect", ["before", "after"])
async def test_once_though_the_settle_is_repeated(url: str, effect: str) -> None:
    broker = FaultyBroker(load_broker(url))
    app, ran, _ = make(url, broker)

    @app.task(name="parent")
    async def parent() -> None:
        then("child")

    async with app, at_work(app) as worker:
        broker.fail("settle", 2, effect=effect)
        await (await app.orca("parent").submit())
        await until(lambda: worker.stats.completed == 2, "parent and child ran")
        assert (await depth(app)).ready == 0
    assert ran == ["child"]


async def test_once_though_the_task_ran_twice(url: str) -> None:
    """Its session is reaped before the first settle: the second run's follow-up is the only one."""
    sessions: list[SessionId] = []

    class Late(FaultyBroker):
        reaped = False

        async def call(self, method: str, real: Any) -> Any:
            if method == "settle" and not self.reaped:
                self.reaped = True
                await self.real.expire(sessions[0])
            return await super().call(method, real)

    app, ran, _ = make(url, Late(load_broker(url)))
    runs: list[int] = []

    @app.task(name="parent")
    async def parent() -> None:
        runs.append(1)
        then("child")

    async with app, at_work(app, on_session=lambda session, lease: sessions.append(session)) as worker:
        await (await app.orca("parent").submit())
        await until(lambda: ran == ["child"], "the child ran")
        await until(lambda: worker.stats.completed >= 2, "all is done")
    assert len(runs) == 2
    assert ran == ["child"]


async def test_one_that_is_refused_is_said_and_harms_nobody(url: str, caplog: pytest.LogCaptureFixture) -> None:
    app, ran, _ = make(url)

    @app.task(name="parent")
    async def parent() -> str:
        then("child", priority=100_000)
        then("child")
        return "done"

    async with app, at_work(app):
        assert await (await app.orca("parent").submit()) == "done"
        await until(lambda: ran == ["child"], "the good one ran")
        await until(lambda: "was refused" in caplog.text, "the refusal is in the log")
    assert "100000" in caplog.text


async def test_delayed_ones(url: str) -> None:
    import time

    app, ran, _ = make(url)

    @app.task(name="parent")
    async def parent() -> None:
        then("child", due=time.time() + 0.1)

    async with app, at_work(app):
        await (await app.orca("parent").submit())
        assert ran == []
        assert (await depth(app)).delayed == 1
        await until(lambda: ran == ["child"], "the child ran")
