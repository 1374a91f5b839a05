"""The server is killed amid work and comes back: nothing confirmed is lost, and nobody has to be restarted by hand."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator

import pytest
from redis_rig import names
from server_rig import Shop, at_work, completions, insisted, until

from orcastra_core.model.ids import TaskId
from orcastra_core.model.task_state import State
from orcastra_redis import RedisBroker
from orcastra_redis.conformance_sentinels import Sentinels
from orcastra_redis.conformance_servers import Ground, Server

TASKS = 20_000 if os.environ.get("ORCASTRA_PROOF") else 4_000
BACK = 3.0
"""Seconds after the server's return within which work goes on."""


@pytest.fixture
async def safe(ground: Ground) -> AsyncIterator[Server]:
    """A server that flushes before it answers."""
    server = await ground.server("--appendfsync", "always")
    yield server
    server.kill()


async def states(shop: Shop) -> list[State | None]:
    """Where the tasks are of which the store said that it has them."""
    ids = [TaskId(one) for one in sorted(shop.stored)]
    return [None if one is None else one.state for one in await insisted(lambda: shop.app.broker.find(ids))]


async def all_over(shop: Shop) -> bool:
    return set(await states(shop)) == {State.FINISHED}


async def submit_all(shop: Shop) -> None:
    """Submit what is to do, in pieces; what gets no confirmation within the outage is another's worry."""
    for first in range(0, TASKS, 200):
        await shop.submit(range(first, first + 200))


@pytest.mark.timeout(180)
async def test_killed_and_started_again_in_mid_run(safe: Server) -> None:
    shop, other = Shop(safe.url, seconds=0.005), Shop(safe.url, seconds=0.005)
    returns: list[float] = []
    async with shop.app, other.app, at_work(shop.app), at_work(other.app):
        async with asyncio.TaskGroup() as group:
            submitting = group.create_task(submit_all(shop))
            for part in (1, 2, 3):
                await more_than(part * TASKS // 5, shop, other, seconds=60)
                safe.kill()
                await asyncio.sleep(0.3)
                before = len(done(shop, other))
                await safe.start()
                began = asyncio.get_running_loop().time()
                await more_than(before + 400, shop, other, seconds=BACK)  # 400 may have been in the workers' hands
                returns.append(asyncio.get_running_loop().time() - began)
            await submitting
        await until(lambda: all_over(shop), "all that was confirmed has ended", seconds=60)
        counted = await completions(shop.app.broker)
        assert isinstance(shop.app.broker, RedisBroker)
        assert not (await shop.app.broker.sweep(limit=10)).lost
        depths = await shop.app.broker.inspect()
    assert len(shop.stored) >= TASKS * 0.9
    assert shop.stored <= set(counted), "what was confirmed was completed"
    assert set(counted.values()) == {1}, "and nothing twice"
    assert [(one.ready, one.delayed, one.running, one.dead) for one in depths] == [(0, 0, 0, 0)]
    print(f"back at work {', '.join(f'{one:.2f}' for one in returns)} s after the server")


async def more_than(number: int, *shops: Shop, seconds: float) -> None:
    """Wait until more tasks than that were run."""
    await until(lambda: len(done(*shops)) > number, f"more than {number} tasks were run", seconds=seconds)


def done(*shops: Shop) -> set[int]:
    """Numbers that were run."""
    return {number for shop in shops for number in shop.ran}


async def test_stopped_for_a_while_without_a_word(safe: Server) -> None:
    shop = Shop(f"{safe.url}?timeout=1&connect_timeout=1")
    async with shop.app, at_work(shop.app, lease=1.0):
        await shop.submit(range(100))
        await until(lambda: len(shop.ran) == 100, "the worker works")
        async with safe.paused():
            await asyncio.sleep(2.0)
        began = asyncio.get_running_loop().time()
        await shop.submit(range(100, 200))
        await until(lambda: len(shop.ran) == 200, "it goes on", seconds=BACK)
        assert asyncio.get_running_loop().time() - began < BACK
        await until(lambda: all_over(shop), "all has ended")


async def test_a_failover_that_the_sentinel_sees_by_itself(ground: Ground) -> None:
    setup = Sentinels(ground, down_after=2.0)
    await setup.start()
    try:
        shop = Shop(setup.url("orcastra") + "&timeout=2&connect_timeout=2")
        async with shop.app, at_work(shop.app, lease=2.0):
            await shop.submit(range(200))
            await until(lambda: len(shop.ran) == 200, "the worker works")
            await setup.in_step()
            master, replica = setup.servers
            master.kill()
            await until(lambda: names(setup, replica), "the sentinel has seen it", seconds=20)
            began = asyncio.get_running_loop().time()
            await shop.submit(range(200, 400))
            await until(lambda: len(shop.ran) == 400, "the worker works for the new master", seconds=BACK)
            print(f"back at work {asyncio.get_running_loop().time() - began:.2f} s after the failover")
            await until(lambda: all_over(shop), "all that was confirmed has ended")
            assert len(shop.stored) == 400
    finally:
        for server in (*setup.servers, setup.sentinel):
            server.kill()
