"""What waiting for a task may end with."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from core_doubles import at_work, kinds_of, until

from orcastra_core import Cancelled, Orcastra, Until
from orcastra_core.model.errors import (
    BrokerClosed,
    ResultExpired,
    ResultTimeout,
    TaskCancelled,
    TaskFailed,
    TaskTimeout,
    TaskUnknown,
    Unsupported,
)
from orcastra_core.model.event import EventKind
from orcastra_core.model.ids import IdFactory
from orcastra_core.model.result import Absence, Result


class Bench:
    """An app with a few tasks, and events that tell where they are."""

    def __init__(self, url: str) -> None:
        self.app = app = Orcastra(url)
        self.begun = asyncio.Event()
        self.go_on = asyncio.Event()

        @app.task(name="answer")
        async def answer() -> int:
            return 42

        @app.task(name="fail")
        async def fail(text: str) -> int:
            raise LookupError(text)

        @app.task(name="hang")
        async def hang() -> str:
            self.begun.set()
            await self.go_on.wait()
            return "done"

        @app.task(name="too_slow", timeout=0.05)
        async def too_slow() -> None:
            await asyncio.Event().wait()

        self.answer, self.fail, self.hang, self.too_slow = answer, fail, hang, too_slow


@pytest.fixture
def bench(url: str) -> Bench:
    return Bench(url)


async def test_waiting_in_vain_and_waiting_again(bench: Bench) -> None:
    async with bench.app, at_work(bench.app):
        handle = await bench.hang.submit()
        await bench.begun.wait()
        with pytest.raises(ResultTimeout, match=rf"task {handle.id} had not ended after 0\.01 s"):
            await handle.wait(timeout=0.01)
        with pytest.raises(TimeoutError):
            await handle.wait(timeout=0)
        bench.go_on.set()
        assert await handle.wait(timeout=5) == await handle.wait(timeout=5)
        assert await handle == "done"


async def test_a_timeout_of_the_caller_is_the_callers(bench: Bench) -> None:
    async with bench.app:
        handle = await bench.answer.submit()
        with pytest.raises(TimeoutError) as caught:
            async with asyncio.timeout(0.01):
                await handle.wait(timeout=60)
        assert not isinstance(caught.value, ResultTimeout)


async def test_a_failed_task_carries_its_remote_traceback(bench: Bench) -> None:
    async with bench.app, at_work(bench.app):
        handle = await bench.fail.submit("no such shelf")
        result = await handle.wait(timeout=5)
        assert not result.success
        assert isinstance(result.error, TaskFailed)
        with pytest.raises(TaskFailed) as caught:
            await handle
        assert caught.value.error.type == "LookupError"
        assert caught.value.error.message == "no such shelf"
        assert "raise LookupError(text)" in caught.value.error.traceback
        assert "Remote traceback" in str(caught.value)
        assert "test_outcomes.py" in str(caught.value)
        assert "executor.py" not in str(caught.value), "our own frames are noise"
        with pytest.raises(TaskFailed):
            _ = result.value


async def test_a_task_that_ran_too_long(bench: Bench) -> None:
    async with bench.app, at_work(bench.app):
        with pytest.raises(TaskTimeout, match=r"longer than 0\.05 s"):
            await (await bench.too_slow.submit())
        with pytest.raises(TaskTimeout, match=r"longer than 0\.02 s"):
            await (await bench.hang.options(timeout=0.02).submit())


async def test_cancelling_a_waiting_task(bench: Bench) -> None:
    async with bench.app:
        handle = await bench.answer.submit()
        assert await handle.cancel() is Cancelled.REMOVED
        assert await handle.cancel() is Cancelled.TOO_LATE
        with pytest.raises(TaskCancelled, match="cancelled by request"):
            await handle
        assert not (await handle.wait()).success
        async with at_work(bench.app, until=Until.EMPTY) as worker:
            pass
        assert worker.stats.fetched == 0
        assert await kinds_of(bench.app, handle.id) == [EventKind.SUBMITTED, EventKind.CANCELLED]


async def test_cancelling_a_delayed_task_tells_its_waiter(bench: Bench) -> None:
    async with bench.app:
        handle = await bench.answer.options(delay=3600).submit()
        waiting = asyncio.create_task(handle.wait(timeout=5))
        await asyncio.sleep(0)
        assert await handle.cancel() is Cancelled.REMOVED
        assert isinstance((await waiting).error, TaskCancelled)


async def test_cancelling_a_running_task(bench: Bench) -> None:
    async with bench.app, at_work(bench.app) as worker:
        handle = await bench.hang.submit()
        await bench.begun.wait()
        assert await handle.cancel() is Cancelled.SIGNALLED
        with pytest.raises(TaskCancelled):
            await handle
        assert worker.stats.cancelled == 1
        assert await handle.cancel() is Cancelled.TOO_LATE
        assert (await kinds_of(bench.app, handle.id))[-1] is EventKind.CANCELLED


async def test_cancelling_what_nobody_knows(bench: Bench) -> None:
    async with bench.app:
        stranger = bench.app.handle(IdFactory()())
        assert await stranger.cancel() is Cancelled.UNKNOWN
        with pytest.raises(TaskUnknown, match=stranger.id):
            await stranger.wait(timeout=5)
        with pytest.raises(LookupError):
            await stranger


async def test_a_ttl_of_zero_still_answers_those_who_wait(bench: Bench) -> None:
    async with bench.app, at_work(bench.app):
        handle = await bench.hang.options(result_ttl=0).submit()
        waiting = asyncio.create_task(handle.wait(timeout=5))
        await bench.begun.wait()
        bench.go_on.set()
        assert (await waiting).value == "done"
        with pytest.raises(ResultExpired, match="TTL"):
            await Orcastra_twin(bench).handle(handle.id).wait(timeout=5)


def Orcastra_twin(bench: Bench) -> Orcastra:  # noqa: N802 - it stands for a class
    """Another client's view in the same app: without what was pushed to this one."""
    client = bench.app._connection.opened.client
    assert client._waiter is not None
    client._waiter._recent.clear()
    return bench.app


async def test_an_app_without_results(url: str) -> None:
    app = Orcastra(url, results=False)

    @app.task(name="answer")
    async def answer() -> int:
        return 42

    async with app:
        handle = await answer.submit()
        kept = await answer.options(result_ttl=60).submit()
        with pytest.raises(Unsupported, match="results=False"):
            await handle.wait(timeout=1)
        await app.worker(until=Until.EMPTY).run()
        assert app.broker.results is not None
        nothing, result = await app.broker.results.get([handle.id, kept.id])
        assert isinstance(nothing, Absence), "it was not kept"
        assert isinstance(result, Result), "what a submit asks for is"
        assert await kinds_of(app, handle.id) == [EventKind.SUBMITTED, EventKind.COMPLETED]


async def test_many_wait_for_one_task(bench: Bench) -> None:
    async with bench.app, at_work(bench.app):
        handle = await bench.hang.submit()
        waiters = [asyncio.create_task(handle.wait(timeout=5)) for _ in range(50)]
        by_id = [asyncio.create_task(bench.app.handle(handle.id).wait(timeout=5)) for _ in range(50)]
        await bench.begun.wait()
        waiters[3].cancel()
        bench.go_on.set()
        ended: list[Any] = await asyncio.gather(*waiters, *by_id, return_exceptions=True)
        assert isinstance(ended.pop(3), asyncio.CancelledError)
        assert {result.value for result in ended} == {"done"}


async def test_waiting_before_and_after_the_end_is_the_same(bench: Bench) -> None:
    async with bench.app:
        early = await bench.answer.submit()
        waiting = asyncio.create_task(early.wait(timeout=5))
        late = await bench.answer.submit()
        async with at_work(bench.app) as worker:
            assert (await waiting).value == 42
            await until(lambda: worker.stats.completed == 2, "both tasks ran")
            assert (await late.wait(timeout=5)).value == 42


async def test_a_waiter_that_gives_up_leaves_nothing_behind(bench: Bench) -> None:
    async with bench.app:
        handle = await bench.answer.submit()
        for _ in range(20):
            with pytest.raises(ResultTimeout):
                await handle.wait(timeout=0.001)
        waiter = bench.app._connection.opened.client._waiter
        assert waiter is not None
        assert waiter._waiting == {}


async def test_leaving_the_app_frees_who_waits(bench: Bench) -> None:
    async with bench.app:
        handle = await bench.answer.submit()
        waits = [asyncio.create_task(handle.wait()), asyncio.create_task(bench.app.handle(handle.id).wait())]
        await asyncio.sleep(0.01)
        waits.append(asyncio.create_task(handle.wait()))
        await asyncio.sleep(0)
    async with asyncio.timeout(2):
        ended = await asyncio.gather(*waits, return_exceptions=True)
    assert [type(one) for one in ended] == [BrokerClosed] * 3
    assert "app was left" in str(ended[0])
    async with bench.app, at_work(bench.app):
        assert (await handle.wait(timeout=5)).value == 42
