"""Handles, results, submissions and what else an app gives back."""

# pyright: strict, reportUnnecessaryTypeIgnoreComment=true

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, assert_type

from orcastra_core import Call, Cancelled, Handle, Misfire, Orcastra, Submission, TaskResult, Until, Worker
from orcastra_core.model.errors import OrcastraError, ResultError
from orcastra_core.model.ids import TaskId
from orcastra_core.model.names import TaskName
from orcastra_core.model.profile import Profile
from orcastra_core.model.schedule import Schedule
from orcastra_core.runtime.stats import Stats
from orcastra_core.runtime.task_spec import TaskSpec

app = Orcastra()


@app.task
async def asynchronous(n: int) -> str:
    return str(n)


@app.task
def synchronous(n: int) -> float:
    return n / 2


@app.task
async def optional(n: int) -> str | None:
    return str(n) if n else None


async def awaiting_a_handle_gives_the_value() -> None:
    assert_type(await (await asynchronous.submit(1)), str)
    assert_type(await (await synchronous.submit(1)), float)
    assert_type(await (await optional.submit(1)), str | None)
    number: int = await (await asynchronous.submit(1))  # type: ignore[assignment]
    _ = number


async def waiting_gives_a_result() -> None:
    handle = await asynchronous.submit(1)
    result = await handle.wait(timeout=10)
    assert_type(result, TaskResult[str])
    assert_type(result.success, bool)
    assert_type(result.value, str)
    assert_type(result.error, ResultError | None)
    assert_type(result.id, TaskId)
    assert_type(await (await synchronous.submit(1)).wait(), TaskResult[float])
    assert_type(await (await optional.submit(1)).wait(None), TaskResult[str | None])
    assert_type(handle.id, TaskId)
    assert_type(handle.duplicate, bool)
    assert_type(await handle.cancel(), Cancelled)
    await handle.wait(timeout="10")  # type: ignore[arg-type]
    result.value = "x"  # type: ignore[misc]


def covariance(result: TaskResult[object]) -> None:
    async def narrower() -> None:
        covariance(await (await asynchronous.submit(1)).wait())

    _ = (narrower, result)


async def many_at_once(people: list[tuple[str, int]]) -> None:
    outcomes = await app.submit_many(asynchronous.call(age) for _, age in people)
    assert_type(outcomes, list[Submission[str]])
    first = outcomes[0]
    assert_type(first.ok, bool)
    assert_type(first.error, OrcastraError | None)
    assert_type(first.handle, Handle[str])
    assert_type(await first.handle, str)
    assert_type(await app.submit_many([synchronous.call(1)]), list[Submission[float]])
    mixed: list[Call[Any]] = [asynchronous.call(1), synchronous.call(2)]
    assert_type(await app.submit_many(mixed), list[Submission[Any]])
    await app.submit_many([asynchronous])  # type: ignore[arg-type]


async def the_app() -> None:
    async with app as entered:
        assert_type(entered, Orcastra)
    assert_type(app.handle("x"), Handle[Any])
    assert_type(app.profile, Profile)
    assert_type(app.tasks, Mapping[TaskName, TaskSpec])
    assert_type(await app.schedule("id", asynchronous.call(1), "interval:5", misfire=Misfire.SKIP), Schedule)
    assert_type(await app.unschedule("id"), bool)
    worker = app.worker(queues=["a"], concurrency=5, until=Until.EMPTY)
    assert_type(worker, Worker)
    assert_type(await worker.run(), Stats)
    assert_type(worker.stop(), None)
    app.worker(until="empty")  # type: ignore[arg-type]
    await app.schedule("id", asynchronous, "interval:5")  # type: ignore[arg-type]
    Orcastra("memory://", serialiser="json")  # type: ignore[call-arg]
