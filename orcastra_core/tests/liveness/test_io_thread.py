"""A whole client in a second loop, and calls into it."""

from __future__ import annotations

import asyncio
import threading

import pytest

from orcastra_core.liveness.io_thread import IoThread
from orcastra_core.model.errors import BrokerClosed, BrokerUnavailable


def threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("orcastra-io")]


async def where(tag: str, *, loud: bool = False) -> tuple[str, str, asyncio.AbstractEventLoop]:
    return threading.current_thread().name, tag.upper() if loud else tag, asyncio.get_running_loop()


async def test_calls_run_over_there() -> None:
    async with IoThread("test") as io:
        name, tag, loop = await io.call(where, "a", loud=True)
        assert (name, tag) == ("orcastra-io-test", "A")
        assert loop is not asyncio.get_running_loop()
        answers = await asyncio.gather(*(io.call(where, str(n)) for n in range(50)))
        assert [answer[1] for answer in answers] == [str(n) for n in range(50)]
    assert threads() == []


async def test_errors_come_back() -> None:
    async def fail() -> None:
        raise BrokerUnavailable("over there")

    async with IoThread("test") as io:
        with pytest.raises(BrokerUnavailable, match="over there"):
            await io.call(fail)


async def test_cancelling_the_caller_cancels_the_call() -> None:
    begun, cancelled = threading.Event(), threading.Event()

    async def hang() -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.set()
            raise

    async with IoThread("test") as io:
        calling = asyncio.create_task(io.call(hang))
        await asyncio.to_thread(begun.wait, 3)
        calling.cancel()
        with pytest.raises(asyncio.CancelledError):
            await calling
        assert await asyncio.to_thread(cancelled.wait, 3)
        assert (await io.call(where, "b"))[1] == "b"


async def test_a_timeout_around_a_call() -> None:
    async with IoThread("test") as io:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.02):
                await io.call(asyncio.Event().wait)


async def test_a_call_that_is_cancelled_over_there() -> None:
    async def cancel_itself() -> None:
        raise asyncio.CancelledError

    async with IoThread("test") as io:
        async with asyncio.timeout(2):
            with pytest.raises(BrokerClosed):
                await io.call(cancel_itself)


async def test_the_end_frees_those_who_wait() -> None:
    begun = threading.Event()

    async def hang() -> None:
        begun.set()
        await asyncio.Event().wait()

    async with IoThread("test") as io:
        calling = asyncio.create_task(io.call(hang))
        await asyncio.to_thread(begun.wait, 3)
    async with asyncio.timeout(2):
        with pytest.raises(BrokerClosed, match="ended during the call"):
            await calling
        with pytest.raises(BrokerClosed, match="not running"):
            await io.call(where, "late")
    assert threads() == []


async def test_not_started_yet() -> None:
    with pytest.raises(BrokerClosed):
        await IoThread("test").call(where, "early")


async def test_it_runs_on_while_the_callers_loop_is_blocked() -> None:
    ticks: list[float] = []
    enough = threading.Event()

    async def tick() -> None:
        while len(ticks) < 20:
            ticks.append(asyncio.get_running_loop().time())
            await asyncio.sleep(0.002)
        enough.set()

    async with IoThread("test") as io:
        ticking = asyncio.create_task(io.call(tick))
        await asyncio.sleep(0.005)
        assert enough.wait(3)
        await ticking
