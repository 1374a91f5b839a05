"""Tasks whose workers die: suspects run alone, and poison is put away."""

from __future__ import annotations

import asyncio

import pytest
from core_doubles import at_work, letters, make, until

from orcastra_core import Orcastra, QueueSpec
from orcastra_core.model.counts import Counts
from orcastra_core.model.envelope import Envelope
from orcastra_core.model.errors import TaskFailed
from orcastra_core.model.ids import IdFactory
from orcastra_core.model.names import QueueName, TaskName

DEFAULT = QueueName("default")
new_id = IdFactory()


async def lose(app: Orcastra, times: int) -> None:
    """Have sessions die that hold what is in the default queue."""
    from orcastra_core.model.delivery import Want

    for _ in range(times):
        session = await app.broker.open_session([DEFAULT], lease=10)
        assert await session.fetch(Want(100, [(DEFAULT, 100)]), wait=1.0)
        assert await app.broker.expire(session.id) >= 1
        await session.leave()


async def test_a_task_that_kills_its_workers_is_stopped(url: str) -> None:
    app, fine = make(url)
    async with app:
        handle = await fine.submit()
        await lose(app, 5)
        async with at_work(app):
            with pytest.raises(TaskFailed, match="its workers died 5 times while they ran it"):
                await handle
            (letter,) = await letters(app)
            assert letter.error.type == "WorkerLost"
            assert letter.counts.lost == 5
            assert await (await fine.submit()) == "fine"


async def test_how_often_is_the_queues_own(url: str) -> None:
    app, fine = make(url, [QueueSpec(DEFAULT, max_lost=2)])
    async with app:
        handle = await fine.submit()
        await lose(app, 1)
        spared = await fine.submit()
        async with at_work(app):
            assert await handle == await spared == "fine"
        handle = await fine.submit()
        await lose(app, 2)
        async with at_work(app):
            with pytest.raises(TaskFailed, match="died 2 times"):
                await handle


async def test_a_suspect_runs_alone(url: str) -> None:
    app, _ = make(url)
    beside, most = 0, list[int]()
    go_on = asyncio.Event()

    @app.task(name="count")
    async def count() -> None:
        nonlocal beside
        beside += 1
        most.append(beside)
        await asyncio.sleep(0)
        await go_on.wait()
        beside -= 1

    async with app:
        suspects = [outcome.handle for outcome in await app.submit_many(count.call() for _ in range(3))]
        await lose(app, 2)
        go_on.set()
        async with at_work(app):
            for suspect in suspects:
                await suspect
        assert most == [1, 1, 1], "nothing else runs beside one that lost its holders twice"
        go_on.clear()
        innocent = [outcome.handle for outcome in await app.submit_many(count.call() for _ in range(3))]
        async with at_work(app):
            await until(lambda: max(most) == 3, "others run beside one another")
            go_on.set()
            for handle in innocent:
                await handle


async def test_a_suspect_waits_for_its_neighbours(url: str) -> None:
    app, _ = make(url)
    running, seen = set[str](), dict[str, set[str]]()
    neighbour_runs, go_on = asyncio.Event(), asyncio.Event()

    @app.task(name="who")
    async def who(name: str) -> None:
        running.add(name)
        seen[name] = set(running)
        if name == "neighbour":
            neighbour_runs.set()
            await go_on.wait()
        running.discard(name)

    async with app, at_work(app) as worker:
        neighbour = await who.submit("neighbour")
        await neighbour_runs.wait()
        suspect = Envelope(new_id(), DEFAULT, TaskName("who"), b"\x82\x81\x67suspect\xa0", counts=Counts(lost=2))
        await app.broker.publish([suspect])
        await until(lambda: worker.stats.fetched == 2, "the suspect was taken over")
        assert "suspect" not in seen
        go_on.set()
        await neighbour
        await app.handle(suspect.id)
    assert seen["suspect"] == {"suspect"}
