"""A hundred thousand delayed tasks are due at the same moment: others hardly notice, and nothing is left of them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from redis_rig import Open
from server_rig import QUEUE, Orders, crew, make, until

from orcastra_conformance.engine.harness import REMEMBERED
from orcastra_core.model.published import STORED
from orcastra_core.model.queue import QueueDepth
from orcastra_redis import RedisBroker
from orcastra_redis.conformance import Harness
from orcastra_redis.conformance_servers import Server

TASKS = 100_000
MOST = 0.020
"""Seconds: what another client's calls may take, but for one in a hundred."""


class Meter:
    """Times calls of several kinds in turn, with a short rest between.

    Attributes:
        took: The seconds of each call, by kind.
    """

    def __init__(self, calls: dict[str, Callable[[], Awaitable[object]]]) -> None:
        self._calls = calls
        self.took: dict[str, list[float]] = {name: [] for name in calls}

    async def run(self, times: int) -> None:
        """Call each so many times."""
        for _ in range(times):
            for name, call in self._calls.items():
                began = time.perf_counter()
                await call()
                self.took[name].append(time.perf_counter() - began)
                await asyncio.sleep(0.002)

    def most(self, part: float) -> dict[str, float]:
        """Return for each kind what that part of its calls did not exceed, in milliseconds."""
        return {name: round(sorted(took)[int((len(took) - 1) * part)] * 1000, 2) for name, took in self.took.items()}


@pytest.mark.timeout(180)
async def test_many_due_at_once(redis: Server, opened: Open, tmp_path: Path) -> None:
    orders = Orders(redis.url)
    other = await opened(f"{redis.url}?domain=other")
    async with orders.app, redis.client() as client, crew(tmp_path, redis.url, 1) as workers:
        broker = orders.app.broker
        assert isinstance(broker, RedisBroker)

        async def publish() -> None:
            assert await other.publish([make.envelope()]) == [STORED]

        calls: dict[str, Callable[[], Awaitable[object]]] = {
            "PING": client.ping,
            "publish": publish,
            "inspect": lambda: broker.inspect([QUEUE]),
        }
        quiet, meter = Meter(calls), Meter(calls)
        await quiet.run(200)
        due = time.time() + 12.0
        began = time.perf_counter()
        late = orders.pass_by.options(at=datetime.fromtimestamp(due, UTC))
        outcomes = await orders.app.submit_many(late.call() for _ in range(TASKS))
        submitted = time.perf_counter() - began
        assert all(outcome.ok for outcome in outcomes)
        assert time.time() < due, "all wait before the first is due"
        await asyncio.sleep(due - time.time())
        while (await depth(broker)).delayed:
            await meter.run(10)
        promoted = time.time() - due
        await until(lambda: drained(broker), "all have run", seconds=60)
        over = time.time() - due
        assert workers.members[0].alive
    print(
        f"{TASKS} due at once: submitted in {submitted:.1f} s, promoted in {promoted:.1f} s, drained after {over:.1f} s;"
        f" {len(meter.took['PING'])} calls of each kind meanwhile: p50 {meter.most(0.5)}, p99 {meter.most(0.99)},"
        f" worst {meter.most(1.0)} ms; before, p99 {quiet.most(0.99)} ms"
    )
    assert len(meter.took["PING"]) >= 100
    assert max(meter.most(0.99).values()) < MOST * 1000
    harness = Harness()
    harness.use(redis.url)
    left = {kind: number for kind, number in (await harness.census("orcastra")).items() if number}
    assert left.pop("events") > 0
    assert left.pop(REMEMBERED, 0) <= TASKS
    assert left == {"meta": 1, "lanes": 1}, "nothing is left but what every domain has"


async def depth(broker: RedisBroker) -> QueueDepth:
    (one,) = await broker.inspect([QUEUE])
    return one


async def drained(broker: RedisBroker) -> bool:
    await asyncio.sleep(0.05)
    now = await depth(broker)
    return (now.ready, now.delayed, now.running) == (0, 0, 0)
