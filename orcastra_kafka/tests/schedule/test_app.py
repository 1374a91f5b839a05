"""Delays, retries and recurring tasks of an app whose broker is Kafka: what the runtime puts off, the scheduler brings back."""

from __future__ import annotations

import asyncio
import statistics
import time
import uuid
from itertools import pairwise
from typing import Any

import pytest
from server_rig import at_work, until

from orcastra_core import Orcastra
from orcastra_core.model.retry import FixedBackoff, RetryPolicy
from orcastra_core.model.schedule import Fired, ScheduleId
from orcastra_kafka.conformance_servers import Server

LANES = ["lane=share", "lane=classic", "lane=classic&transactions=1"]


def url_of(shared: Server, lane: str) -> str:
    return f"{shared.url}/?{lane}&levels=1&partitions=2&domain=s-{uuid.uuid4().hex}"


def made(url: str) -> tuple[Orcastra, Any, list[tuple[str, float]]]:
    app = Orcastra(url)
    ran: list[tuple[str, float]] = []

    @app.task(name="tick", queue="q", result_ttl=0.0)
    async def tick(name: str) -> None:
        ran.append((name, time.time()))

    return app, tick, ran


async def warm(tick: Any, ran: list[tuple[str, float]]) -> None:
    """Have everything there that is made on first use."""
    await tick.options(delay=0.1).submit("warm")
    await until(lambda: len(ran) == 1, "the first one ran", seconds=30)
    ran.clear()


@pytest.mark.timeout(90)
@pytest.mark.parametrize("lane", LANES)
async def test_delayed_tasks_of_another_client_start_when_they_are_due(shared: Server, lane: str) -> None:
    url = url_of(shared, lane)
    app, tick, ran = made(url)
    client, submit, _ = made(url)
    async with app, client, at_work(app):
        await warm(tick, ran)
        due: dict[str, float] = {}
        for n in range(30):
            await submit.options(delay=3600).submit("far")
            due[str(n)] = time.time() + 0.15
            await submit.options(delay=0.15).submit(str(n))
            await asyncio.sleep(0.1)
        await until(lambda: len(ran) == 30, "all ran")
        assert sorted(int(name) for name, _ in ran) == list(range(30))
    late = sorted(at - due[name] for name, at in ran)
    print(f"\n{lane}: late by {statistics.median(late) * 1000:.0f} ms (p50), {late[-2] * 1000:.0f} ms (p97)")
    assert late[0] > -0.05
    assert statistics.median(late) < 0.5


@pytest.mark.timeout(90)
@pytest.mark.parametrize("lane", LANES)
async def test_a_task_that_fails_is_tried_again_after_its_backoff(shared: Server, lane: str) -> None:
    app = Orcastra(url_of(shared, lane))
    tries: list[float] = []

    @app.task(queue="q", retry=RetryPolicy(max_attempts=4, backoff=FixedBackoff(0.3)))
    async def fails() -> int:
        tries.append(time.time())
        if len(tries) < 4:
            raise RuntimeError("not yet")
        return len(tries)

    async with app, at_work(app):
        handle = await fails.submit()
        assert (await handle.wait(timeout=30)).value == 4
    pauses = [later - earlier for earlier, later in pairwise(tries)]
    assert len(pauses) == 3
    assert min(pauses) >= 0.29, "no sooner than its backoff"


@pytest.mark.timeout(90)
@pytest.mark.parametrize("lane", LANES)
async def test_recurring_tasks_fire_once_a_tick_whatever_workers_there_are(shared: Server, lane: str) -> None:
    url = url_of(shared, lane)
    app, tick, ran = made(url)
    other, same, ran_there = made(url)
    async with app, other, at_work(app), at_work(other):
        await tick.submit("warm")
        await until(lambda: len(ran) + len(ran_there) == 1, "the first one ran", seconds=30)
        nightly = await app.schedule("nightly", tick.call("nightly"), "cron:0 4 * * * Europe/Berlin")
        again = await other.schedule("nightly", same.call("nightly"), "cron:0 4 * * * Europe/Berlin")
        assert again.due == nightly.due
        scheduler = app.broker.scheduler
        assert scheduler is not None
        now = time.time()
        assert await scheduler.settle([Fired(ScheduleId("nightly"), nightly.due, now)]) == [True]
        await app.schedule("often", tick.call("often"), "interval:0.5")
        await until(lambda: [name for name, _ in ran + ran_there].count("often") >= 6, "it recurs", seconds=20)
        assert await app.unschedule("often")
        assert not await other.unschedule("often")
        names = [name for name, _ in ran + ran_there]
        assert names.count("nightly") == 1
        (stored,) = await scheduler.get([ScheduleId("nightly")])
        assert stored is not None
        assert stored.due > now + 60
        at = sorted(moment for name, moment in ran + ran_there if name == "often")
        assert all(later - earlier > 0.2 for earlier, later in pairwise(at)), "one a tick"
