"""Entering and leaving: nested, again, in another loop, in a forked child."""

from __future__ import annotations

import asyncio
import os
import threading

import pytest
from core_doubles import at_work, depth

from orcastra_core import Orcastra
from orcastra_core.model.errors import BackendNotFound, BrokerUnavailable, WrongLoop


def make(url: str) -> tuple[Orcastra, list[int]]:
    app = Orcastra(url)
    ran: list[int] = []

    @app.task(name="note")
    async def note(n: int) -> int:
        ran.append(n)
        return n

    return app, ran


async def test_outside_everything_is_refused_with_the_remedy() -> None:
    app, _ = make("memory://")
    note = app.orca("note")
    for attempt in (note.submit(1), app.submit_many([note.call(1)])):
        with pytest.raises(WrongLoop, match="use it inside «async with app:»"):
            await attempt
    with pytest.raises(WrongLoop):
        app.worker()
    with pytest.raises(WrongLoop):
        _ = app.broker
    handle = app.handle("01920f5e-1234-7abc-8def-0123456789ab")
    with pytest.raises(WrongLoop):
        await handle.wait(timeout=1)


async def test_nested_and_again(url: str) -> None:
    app, ran = make(url)
    note = app.orca("note")
    async with app:
        async with app:
            await note.submit(1)
        await note.submit(2)
    with pytest.raises(WrongLoop):
        await note.submit(3)
    async with app:
        assert (await depth(app)).ready == 2, "what was submitted is still there"
        async with at_work(app):
            assert await (await note.submit(3)) == 3
    assert ran == [1, 2, 3]


async def test_entered_by_one_task_and_left_by_another(url: str) -> None:
    """As pytest fixtures and web frameworks do."""
    app, _ = make(url)
    await asyncio.create_task(app.__aenter__())
    await app.orca("note").submit(1)
    await asyncio.create_task(app.__aexit__(None, None, None))


def test_one_loop_after_another(url: str) -> None:
    app, ran = make(url)

    async def once(n: int) -> None:
        async with app, at_work(app):
            await (await app.orca("note").submit(n))

    asyncio.run(once(1))
    asyncio.run(once(2))
    assert ran == [1, 2]


async def test_a_second_loop_at_the_same_time_is_refused(url: str) -> None:
    app, _ = make(url)
    said: list[BaseException] = []

    async def elsewhere() -> None:
        for attempt in (app.orca("note").submit(1), app.__aenter__()):
            try:
                await attempt
            except WrongLoop as error:
                said.append(error)

    async with app:
        thread = threading.Thread(target=lambda: asyncio.run(elsewhere()))
        thread.start()
        await asyncio.to_thread(thread.join)
        assert len(said) == 2
        assert "another event loop" in str(said[0])
        assert "leave it there first, or make a second app" in str(said[0])
        assert (await depth(app)).ready == 0
        await app.orca("note").submit(1)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
async def test_a_forked_child_is_told_to_make_its_own(url: str) -> None:
    app, _ = make(url)
    async with app:
        reading, writing = os.pipe()
        child = os.fork()
        if child == 0:
            # the loop object is the parent's; only what the app says is of interest
            try:
                app.worker()
                os.write(writing, b"nothing was raised")
            except WrongLoop as error:
                os.write(writing, str(error).encode())
            finally:
                os._exit(0)
        os.close(writing)
        await asyncio.to_thread(os.waitpid, child, 0)
        assert "before a fork: let the child make an app of its own" in os.read(reading, 1000).decode()
        os.close(reading)
        await app.orca("note").submit(1)


async def test_an_entering_that_failed_can_be_tried_again() -> None:
    app = Orcastra("nonsense://")
    for _ in range(2):
        with pytest.raises(BackendNotFound):
            async with app:
                pass
    with pytest.raises(WrongLoop):
        _ = app.broker


async def test_concurrent_entering_opens_once(url: str) -> None:
    app, ran = make(url)

    async def one(n: int) -> None:
        async with app:
            await app.orca("note").submit(n)

    async with asyncio.timeout(5):
        await asyncio.gather(*(one(n) for n in range(20)))
    async with app:
        assert (await depth(app)).ready == 20
    assert ran == []
    left = [task.get_name() for task in asyncio.all_tasks() if task.get_name().startswith("orcastra")]
    assert not left, "each entering opened a client of its own"


async def test_an_error_in_the_body_leaves_properly(url: str) -> None:
    app, _ = make(url)
    with pytest.raises(RuntimeError, match="the body's"):
        async with app:
            raise RuntimeError("the body's")
    async with app:
        await app.orca("note").submit(1)


async def test_a_broker_that_cannot_be_reached(monkeypatch: pytest.MonkeyPatch) -> None:
    from core_doubles import FaultyBroker, attach

    from orcastra_core.plugins import load_broker

    app, _ = make("memory://")
    broker = FaultyBroker(load_broker("memory://"))
    attach(app, broker)
    broker.fail("open", 1)
    with pytest.raises(BrokerUnavailable):
        async with app:
            pass
    async with app:
        await app.orca("note").submit(1)
