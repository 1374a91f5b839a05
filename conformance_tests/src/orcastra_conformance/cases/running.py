"""The runtime on this broker: what an application sees of the contract."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

from orcastra_conformance.engine.app import NO_ARGUMENTS, App, in_time, running_context
from orcastra_conformance.engine.case import case
from orcastra_conformance.engine.trial import FAR, Trial
from orcastra_core.model.envelope import Envelope
from orcastra_core.model.errors import TaskCancelled
from orcastra_core.model.ids import derived_id
from orcastra_core.model.names import TaskName
from orcastra_core.model.profile import Cap
from orcastra_core.model.retry import FixedBackoff, RetryPolicy
from orcastra_core.model.task_state import Cancelled

AT_ONCE = RetryPolicy(max_attempts=3, backoff=FixedBackoff(0.0))


@case("run.tasks-once", slow=True, why="every submitted task runs once, and its value comes back to who waits for it")
async def _(t: Trial) -> None:
    app, ran, all_ran = App(t), list[int](), asyncio.Event()

    @app.task(name="double", queue="q")
    async def double(number: int) -> int:
        ran.append(number)
        if len(ran) >= 100:
            all_ran.set()
        return 2 * number

    async with app, app.at_work(concurrency=7), app.at_work(concurrency=7):
        async with asyncio.TaskGroup() as group:
            submits = [group.create_task(double.submit(number)) for number in range(100)]
        await in_time(t, all_ran.wait(), "all of it runs")
        if t.claims(Cap.RESULTS):
            results = [await in_time(t, submit.result().wait(), "its result comes") for submit in submits]
            t.expect.equal([r.value for r in results], [2 * n for n in range(100)], "each value is that of its task")
    await t.nothing(await t.session(app.broker), because="all of it was settled")
    t.expect.same(ran, range(100), "each task ran once")


@case(
    "run.retry-then-dead",
    slow=True,
    why="a task that fails is tried again as its policy says; then it is a dead letter, once, with its last error",
)
async def _(t: Trial) -> None:
    app, attempts, tried_thrice = App(t), list[int](), asyncio.Event()

    @app.task(name="fails", queue="q", retry=AT_ONCE)
    async def fails() -> None:
        attempts.append(running_context(t).attempt)
        if len(attempts) == 3:
            tried_thrice.set()
        raise ValueError(f"attempt {attempts[-1]}")

    @app.task(name="recovers", queue="q", retry=AT_ONCE)
    async def recovers() -> int:
        if running_context(t).attempt < 3:
            raise ValueError("not yet")
        return 7

    async with app:
        gave_up, went_on = await fails.submit(), await recovers.submit()
        async with app.at_work():
            if t.claims(Cap.RESULTS):
                result = await in_time(t, went_on.wait(), "the third attempt succeeds")
                t.expect.equal(result.value, 7, "the value of the attempt that succeeded")
            failure = await app.failure(gave_up, "the task has failed")
            await in_time(t, tried_thrice.wait(), "three attempts are made")
        if failure is not None:
            t.expect.equal(failure.error.message, "attempt 3", "the last error")
            t.expect.true(failure.error.type.endswith("ValueError"), "its type")
            t.expect.true("attempt 3" in failure.error.traceback, "its traceback, as text")
        letter = await app.letter(gave_up.id)
        if letter is not None:
            t.expect.true("3 attempts" in letter.reason, f"the dead letter says why: {letter.reason}")
            t.expect.equal(letter.error.message, "attempt 3", "and has the last error")
        await t.nothing(await t.session(app.broker), because="nothing is left to try")
    t.expect.equal(attempts, [1, 2, 3], "three attempts, each told which it is")


@case(
    "run.follow-ups-once",
    slow=True,
    why="what a task submits goes out with its settlement, under an id that follows from it: once, however often it was tried",
)
async def _(t: Trial) -> None:
    app, ran, followed = App(t), list[str](), asyncio.Event()

    @app.task(name="conformance.task", queue="q")
    async def follow_up() -> None:
        ran.append("follow-up")
        followed.set()

    @app.task(name="parent", queue="q", retry=AT_ONCE)
    async def parent() -> None:
        context = running_context(t)
        ran.append(f"parent {context.attempt}")
        child = derived_id(context.id, b"conformance", b"0")
        context.follow_up(lambda _: Envelope(child, t.queue(), TaskName("conformance.task"), NO_ARGUMENTS))
        if context.attempt < 3:
            raise ValueError("not yet")

    async with app:
        await parent.submit()
        async with app.at_work():
            await in_time(t, followed.wait(), "the follow-up runs")
        await t.nothing(await t.session(app.broker), because="there was one follow-up")
    t.expect.equal(
        ran, ["parent 1", "parent 2", "parent 3", "follow-up"], "it went out with the attempt that succeeded"
    )


@case(
    "run.cancel",
    needs=[Cap.CANCEL, Cap.RESULTS],
    slow=True,
    why="cancelling: a running task is stopped, a waiting one never starts, and who waits is told",
)
async def _(t: Trial) -> None:
    app, begun, ended = App(t), asyncio.Event(), list[str]()

    @app.task(name="long", queue="q")
    async def long() -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("stopped")

    async with app:
        waits = await long.options(queue="later").submit()
        runs = await long.submit()
        async with app.at_work():
            await in_time(t, begun.wait(), "it begins")
            t.expect.equal(await runs.cancel(), Cancelled.SIGNALLED, "it runs: its session is told")
            t.expect.equal(await waits.cancel(), Cancelled.REMOVED, "it waits: it is removed")
            for handle in (runs, waits):
                result = await in_time(t, handle.wait(), "who waits is told")
                t.expect.is_a(result.error, TaskCancelled, "that it was cancelled")
            t.expect.equal(ended, ["stopped"], "the running one was stopped, the other never begun")
            t.expect.equal(await runs.cancel(), Cancelled.TOO_LATE, "it has ended")
        await t.nothing(await t.session(app.broker), t.queue(), t.queue("later"), because="neither comes again")


@case(
    "run.expired",
    slow=True,
    why="a task that was not started by its expiry is never started: it is a dead letter that says so",
)
async def _(t: Trial) -> None:
    app, ran, spared = App(t), list[str](), asyncio.Event()

    @app.task(name="work", queue="q")
    async def work(name: str) -> None:
        ran.append(name)
        if name == "in time":
            spared.set()

    async with app:
        late = work.options(expires=datetime.fromtimestamp(t.now() - 1, UTC))
        early = work.options(expires=datetime.fromtimestamp(t.now() + FAR, UTC))
        expired = await late.submit("late")
        await early.submit("in time")
        async with app.at_work() as worker:
            await in_time(t, spared.wait(), "one that has not expired runs")
            failure = await app.failure(expired, "the expired task has failed")
            while worker.stats.fetched < 2:
                spared.clear()
                await early.submit("in time")
                await in_time(t, spared.wait(), "one more")
        if failure is not None:
            t.expect.equal(failure.error.type, "Expired", "what ended it")
        letter = await app.letter(expired.id)
        if letter is not None:
            t.expect.true("expired" in letter.reason, f"the dead letter says why: {letter.reason}")
    t.expect.equal(set(ran), {"in time"}, "the expired one was not started")
