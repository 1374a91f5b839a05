"""The runtime on this broker: dead workers, tasks nobody knows, bytes nobody reads."""

from __future__ import annotations

import asyncio
import itertools

from orcastra_conformance.engine.app import NO_ARGUMENTS, App, in_time, running_context
from orcastra_conformance.engine.case import case
from orcastra_conformance.engine.steps import turns
from orcastra_conformance.engine.trial import Trial
from orcastra_core.interfaces.broker import Broker
from orcastra_core.model.counts import Counts
from orcastra_core.model.envelope import Envelope, Unreadable
from orcastra_core.model.names import SessionId
from orcastra_core.model.profile import Cap
from orcastra_core.model.queue import QueueSpec


async def _lose(t: Trial, broker: Broker, number: int, times: int) -> None:
    """Have sessions die that hold what is in the default queue, one after the other."""
    for _ in range(times):
        session = await t.session(broker)
        await t.take(session, number)
        await broker.expire(session.id)


@case("run.suspect-alone", slow=True, why="a delivery that lost its holders twice runs with nothing beside it")
async def _(t: Trial) -> None:
    app, running, beside = App(t), set[str](), dict[str, set[str]]()
    all_ran = asyncio.Event()

    @app.task(name="work", queue="q")
    async def work() -> None:
        me = running_context(t).id
        running.add(me)
        for other in running:
            beside.setdefault(other, set()).update(running)
        await turns(10)
        running.discard(me)
        if len(beside) >= 7:
            all_ran.set()

    async with app:
        suspects = [await work.submit() for _ in range(3)]
        await _lose(t, app.broker, 3, times=2)
        for _ in range(4):
            await work.submit()
        async with app.at_work():
            await in_time(t, all_ran.wait(), "all seven run")
    for suspect in suspects:
        t.expect.equal(beside.get(suspect.id), {suspect.id}, "nothing runs beside a suspect")


@case(
    "run.poison",
    slow=True,
    why="a task whose holders died max_lost times is not run again: it is a dead letter that says so",
)
async def _(t: Trial) -> None:
    app = App(t, queues=[QueueSpec(t.queue(), max_lost=2)])
    ran, spared = list[str](), asyncio.Event()

    @app.task(name="work", queue="q")
    async def work(name: str) -> None:
        ran.append(name)
        if name == "innocent":
            spared.set()

    async with app:
        poison = await work.submit("poison")
        await _lose(t, app.broker, 1, times=2)
        await work.submit("innocent")
        async with app.at_work():
            await in_time(t, spared.wait(), "its neighbour runs")
            failure = await app.failure(poison, "the poisonous task has failed")
        if failure is not None:
            t.expect.equal(failure.error.type, "WorkerLost", "what ended it")
        letter = await app.letter(poison.id)
        if letter is not None:
            t.expect.true("died 2 times" in letter.reason, f"the dead letter says why: {letter.reason}")
            t.expect.equal(letter.counts.lost, 2, "and how often it lost its holder")
    t.expect.equal(ran, ["innocent"], "the poison was not tried a third time")


@case(
    "run.reaped-worker-goes-on",
    needs=[Cap.FENCED],
    slow=True,
    why="a worker whose session was reaped stops what it ran, opens a new session and goes on; the late outcome counts for nothing",
)
async def _(t: Trial) -> None:
    app, begun, sessions = App(t), asyncio.Queue[int](), list[SessionId]()
    go_on, runs, stopped = asyncio.Event(), itertools.count(1), list[int]()

    @app.task(name="work", queue="q")
    async def work() -> int:
        run = next(runs)
        begun.put_nowait(run)
        try:
            await go_on.wait()
        except asyncio.CancelledError:
            stopped.append(run)
            raise
        return run

    async with app:
        handle = await work.submit()
        async with app.at_work(on_session=lambda session, _: sessions.append(session)):
            await in_time(t, begun.get(), "it begins")
            t.expect.equal(await app.broker.expire(sessions[0]), 1, "its session is reaped")
            await in_time(t, begun.get(), "it begins again")
            go_on.set()
            if t.claims(Cap.RESULTS):
                result = await in_time(t, handle.wait(), "it ends")
                t.expect.equal(result.value, 2, "the value is that of the second run")
        t.expect.equal(len(sessions), 2, "the worker went on in a new session")
        t.expect.equal(stopped, [1], "the first run was stopped")
        await t.nothing(await t.session(app.broker), because="it has ended")


@case(
    "run.unknown-task-released",
    needs=[Cap.DELAY],
    slow=True,
    why="a task that a worker does not know is handed back with a delay, and runs where it is known",
)
async def _(t: Trial) -> None:
    old, new, known = App(t), App(t), asyncio.Event()

    @old.task(name="old", queue="q")
    async def _known() -> None:
        known.set()

    @new.task(name="new", queue="q")
    async def newer() -> str:
        return "from the new release"

    async with old, new:
        handle = await newer.submit()
        async with old.at_work() as worker:
            while worker.stats.fetched < 2:  # where order is not kept, its neighbour may come first
                known.clear()
                await _known.submit()
                await in_time(t, known.wait(), "its neighbour runs")
        await t.advance(0.6 + t.moment)
        await t.promote(old.broker)
        session = await t.session(new.broker)
        counts = (await t.one(session)).counts
        # more than once only where the case itself was kept waiting
        t.expect.true(
            counts.attempt == counts.lost == 0 and 1 <= counts.released <= 3,
            f"it was released for half a second, no attempt counted: {counts}",
        )
        await session.leave()
        async with new.at_work():
            if t.claims(Cap.RESULTS):
                result = await in_time(t, handle.wait(), "the newer worker runs it")
                t.expect.equal(result.value, "from the new release", "its value")


@case(
    "run.unknown-task-dies",
    needs=[Cap.DELAY],
    slow=True,
    why="a task that nobody has known for unknown_task_grace seconds is a dead letter that says so",
)
async def _(t: Trial) -> None:
    app, known = App(t), asyncio.Event()

    @app.task(name="known", queue="q")
    async def neighbour() -> None:
        known.set()

    async with app:
        stranger = t.envelope(body=NO_ARGUMENTS, counts=Counts(0, 0, 1))
        await t.stored(app.broker, stranger)
        async with app.at_work(unknown_task_grace=0.4) as worker:
            while worker.stats.fetched < 2:
                known.clear()
                await neighbour.submit()
                await in_time(t, known.wait(), "its neighbour runs")
        letter = await app.letter(stranger.id)
        if letter is not None:
            t.expect.true("conformance.task" in letter.reason, f"the reason names it: {letter.reason}")
            body = t.expect.is_a(letter.envelope, Envelope, "it is kept whole").body
            t.expect.equal(body, NO_ARGUMENTS, "its arguments intact")
        await t.nothing(await t.session(app.broker), because="nobody looks for it any more")


@case(
    "run.unreadable-goes-dead-once",
    slow=True,
    why="unreadable bytes go to the dead letters once, intact, and harm no neighbour",
)
async def _(t: Trial) -> None:
    app, spared = App(t), asyncio.Event()

    @app.task(name="fine", queue="q")
    async def fine() -> None:
        spared.set()

    async with app:
        planted = t.unreadable(b"\xff\x00not an envelope")
        await t.harness.plant(app.broker, planted)
        async with app.at_work() as worker:
            while worker.stats.fetched < 2:
                spared.clear()
                await fine.submit()
                await in_time(t, spared.wait(), "the worker lives, and its neighbour runs")
        if app.broker.dead_letters is not None:
            letters = list(await app.broker.dead_letters.page())
            t.expect.equal(len(letters), 1, "one dead letter")
            kept = t.expect.is_a(letters[0].envelope, Unreadable, "of something unreadable")
            t.expect.equal(kept.raw, planted.raw, "its bytes intact")
            t.expect.true("undecodable" in letters[0].reason, f"it says why: {letters[0].reason}")
        await t.nothing(await t.session(app.broker), because="it does not come again")
