"""Whatever a task does to get out, it ends that task and nothing else."""

from __future__ import annotations

import asyncio
from typing import Any, NoReturn

import pytest
from core_doubles import at_work, depth

from orcastra_core import Cancelled, Orcastra, current_context
from orcastra_core.model.errors import TaskFailed, TaskTimeout


class MyExit(BaseException):
    """Not an Exception."""


class BadText(Exception):
    def __str__(self) -> str:
        raise ZeroDivisionError("no text for you")


class WorseText(Exception):
    def __str__(self) -> str:
        raise SystemExit(3)


def make(url: str) -> tuple[Orcastra, Any]:
    app = Orcastra(url)

    @app.task(name="fine")
    async def fine() -> str:
        return "fine"

    return app, fine


@pytest.mark.parametrize(
    "error, kind",
    [
        (SystemExit(1), "SystemExit"),
        (KeyboardInterrupt(), "KeyboardInterrupt"),
        (GeneratorExit(), "GeneratorExit"),
        (MyExit("out"), "MyExit"),
        (asyncio.CancelledError("by myself"), "CancelledError"),
        (StopIteration(5), "RuntimeError"),
        (StopAsyncIteration(), "StopAsyncIteration|RuntimeError"),
        (BaseExceptionGroup("many", [SystemExit(1), ValueError("x")]), "BaseExceptionGroup"),
        (BadText(), "BadText"),
        (WorseText(), "WorseText"),
        (MemoryError(), "MemoryError"),
        (TimeoutError("mine"), "TimeoutError"),
    ],
)
@pytest.mark.parametrize("kind_of_function", ["async", "sync"])
async def test_raised_by_a_task(url: str, error: BaseException, kind: str, kind_of_function: str) -> None:
    app, fine = make(url)

    @app.task(name="async")
    async def out() -> None:
        raise error

    @app.task(name="sync")
    def out_of_a_thread() -> None:
        raise error

    async with app, at_work(app) as worker:
        bystander = await fine.submit()
        with pytest.raises(TaskFailed, match=kind):
            await (await app.orca(kind_of_function).submit())
        assert await bystander == await (await fine.submit()) == "fine"
        assert worker.stats.failed == 1
        assert (await depth(app)).running == 0
        assert app.broker.dead_letters is not None
        assert len(await app.broker.dead_letters.page()) == 1


async def test_a_text_that_cannot_be_had_is_said_to_be_so(url: str) -> None:
    app, _ = make(url)

    @app.task
    async def out() -> None:
        raise BadText

    async with app, at_work(app):
        with pytest.raises(TaskFailed, match="<its __str__ raised ZeroDivisionError>") as caught:
            await (await out.submit())
        assert "raise BadText" in caught.value.error.traceback


async def test_an_endless_traceback_is_cut(url: str) -> None:
    app, _ = make(url)

    @app.task
    async def chatty() -> None:
        raise ValueError("x" * 1_000_000)

    async with app, at_work(app):
        with pytest.raises(TaskFailed) as caught:
            await (await chatty.submit())
    assert len(caught.value.error.message) <= 16_384
    assert len(caught.value.error.traceback) < 17_000
    assert "characters left out" in caught.value.error.traceback


async def test_a_task_that_cancels_itself(url: str) -> None:
    app, fine = make(url)

    @app.task
    async def suicidal() -> None:
        task = asyncio.current_task()
        assert task is not None
        task.cancel()
        await asyncio.sleep(0)

    async with app, at_work(app, concurrency=1):
        with pytest.raises(TaskFailed, match="CancelledError"):
            await (await suicidal.submit())
        assert await (await fine.submit()) == "fine", "its slot is free again"


async def test_awaiting_something_cancelled_fails_the_task(url: str) -> None:
    app, _ = make(url)

    @app.task
    async def waits() -> None:
        future = asyncio.get_running_loop().create_future()
        future.cancel()
        await future

    async with app, at_work(app):
        with pytest.raises(TaskFailed, match="CancelledError"):
            await (await waits.submit())


async def test_an_async_task_is_stopped_promptly_at_its_timeout(url: str) -> None:
    app, _ = make(url)
    cleaned_up = asyncio.Event()

    @app.task(timeout=0.05)
    async def slow() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            cleaned_up.set()

    loop = asyncio.get_running_loop()
    async with app, at_work(app):
        begun = loop.time()
        with pytest.raises(TaskTimeout):
            await (await slow.submit())
        assert 0.045 <= loop.time() - begun < 1.0
        assert cleaned_up.is_set()


async def test_a_task_that_swallows_its_timeout_has_timed_out_all_the_same(url: str) -> None:
    app, _ = make(url)

    @app.task(timeout=0.03)
    async def stubborn() -> str:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            context = current_context()
            assert context is not None
            assert context.cancelled
        return "I did it my way"

    @app.task(timeout=0.03)
    async def other_error() -> str:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            raise ValueError("while it was cleaned up") from None
        return "never"

    async with app, at_work(app):
        for task in (stubborn, other_error):
            with pytest.raises(TaskTimeout):
                await (await task.submit())


async def test_a_task_that_swallows_being_cancelled_keeps_its_value(url: str) -> None:
    app, _ = make(url)
    begun = asyncio.Event()

    @app.task
    async def stubborn() -> str:
        begun.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            return "finished anyhow"
        return "never"

    async with app, at_work(app):
        handle = await stubborn.submit()
        await begun.wait()
        assert await handle.cancel() is Cancelled.SIGNALLED
        assert await handle == "finished anyhow"


async def test_a_timeout_inside_the_task_is_the_tasks(url: str) -> None:
    app, _ = make(url)

    @app.task(timeout=5)
    async def inner() -> str:
        try:
            async with asyncio.timeout(0.01):
                await asyncio.Event().wait()
        except TimeoutError:
            return "handled"
        return "never"

    async with app, at_work(app):
        assert await (await inner.submit()) == "handled"


async def test_a_timer_for_each_of_many(url: str) -> None:
    """Different timeouts, all by one timer."""
    app, _ = make(url)

    @app.task
    async def hang(seconds: float) -> None:
        await asyncio.Event().wait()

    async with app, at_work(app):
        handles = [await hang.options(timeout=0.02 * n).submit(0.02 * n) for n in (5, 1, 3, 2, 4, 1)]
        order: list[float] = []

        async def wait(n: int) -> None:
            with pytest.raises(TaskTimeout):
                await handles[n]
            order.append((5, 1, 3, 2, 4, 1)[n])

        await asyncio.gather(*(wait(n) for n in range(6)))
        assert order == sorted(order)


def test_no_return() -> None:
    """A task annotated NoReturn is a task like any other."""
    app = Orcastra("memory://")

    @app.task
    async def never() -> NoReturn:
        raise SystemExit

    assert never.name.endswith("never")
