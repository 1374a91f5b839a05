"""The server is killed amid work and comes back: nothing confirmed is lost, no running task is repeated, nobody is restarted."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest
from server_rig import Orders, Shop, at_work, crew, until

from orcastra_postgres.conformance_servers import Server

TASKS = 20_000 if os.environ.get("ORCASTRA_PROOF") else 4_000
LEASE = 2.0
DOWN = LEASE + 1.5
BACK = 3.0
"""Seconds after the server's return within which work goes on."""


@pytest.mark.timeout(180)
async def test_stopped_at_once_for_longer_than_the_lease(postgres: Server, tmp_path: Path) -> None:
    orders = Orders(postgres.url())
    long = range(1_000_000, 1_000_020)
    returns: list[float] = []
    arguments = ("-c", "100", "--lease", str(LEASE))
    async with orders.app, crew(tmp_path, postgres.url(), 2, *arguments) as workers:
        await orders.submit(long, 3 * DOWN)  # these run over an outage
        async with asyncio.TaskGroup() as group:
            submitting = group.create_task(orders.submit_all(TASKS, 0.005))
            for part in (1, 2):
                await until(lambda: len(workers.runs()) > part * TASKS // 4, "it works", seconds=60)  # noqa: B023
                postgres.kill()
                await asyncio.sleep(DOWN)
                before = len(workers.runs())
                await postgres.start()
                began = asyncio.get_running_loop().time()
                await until(lambda: len(workers.runs()) > before + 400, "it works again", seconds=BACK)  # noqa: B023
                returns.append(asyncio.get_running_loop().time() - began)
            await submitting
        await orders.all_finished(seconds=60)
        completed = await orders.completed()
        begun = workers.begun()
        assert all(member.alive for member in workers.members), "nobody had to be restarted"
    assert len(orders.confirmed) >= TASKS * 0.9
    assert set(orders.confirmed) <= set(completed), "what was confirmed was completed"
    assert set(completed.values()) == {1}, "and none is in the log twice"
    assert {number: times for number, times in begun.items() if times > 1} == {}, "no running task was repeated"
    assert set(long) <= set(begun)
    print(f"back at work {', '.join(f'{one:.2f}' for one in returns)} s after the server")


async def test_stopped_for_a_while_without_a_word(postgres: Server) -> None:
    shop = Shop(f"{postgres.url()}?timeout=1&connect_timeout=1")
    async with shop.app, at_work(shop.app, lease=1.0):
        await shop.submit(range(100))
        await until(lambda: len(shop.ran) == 100, "the worker works")
        async with postgres.paused():
            await asyncio.sleep(2.0)
        began = asyncio.get_running_loop().time()
        await shop.submit(range(100, 200))
        await until(lambda: len(shop.ran) == 200, "it goes on", seconds=BACK)
        assert asyncio.get_running_loop().time() - began < BACK
    assert set(shop.ran.values()) == {1}
