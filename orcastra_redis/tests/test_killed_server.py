"""The server is killed under real worker processes and a client that submits, and comes back: they never notice for long."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from pathlib import Path

import pytest
from server_rig import Crew, Orders, crew, until

from orcastra_core.model.event import EventKind
from orcastra_redis import RedisBroker
from orcastra_redis.conformance_servers import Ground

TASKS = 20_000
SECONDS = 0.005
BACK = 3.0
"""Seconds after the server's return within which a task has to be completed."""
KEPT_BACK = 2.0
"""Seconds for which ``appendfsync everysec`` may keep back what it writes, while the disk is slow."""


async def begun(workers: Crew, number: int) -> None:
    await until(lambda: len(workers.runs()) >= number, f"{number} tasks were begun", seconds=60)


def unharmed(workers: Crew) -> None:
    """They are the processes they were, and knew how to help themselves."""
    for member in workers.members:
        assert member.alive
        assert "failed, trying again until the store answers" in member.text
        assert "works again" in member.text
        assert " ERROR " not in member.text


@pytest.mark.timeout(180)
@pytest.mark.parametrize("fsync", ["always", "everysec"])
async def test_killed_in_mid_run(ground: Ground, tmp_path: Path, fsync: str) -> None:
    server = await ground.server("--appendfsync", fsync)
    orders = Orders(server.url)
    outages: list[tuple[float, float]] = []
    try:
        async with orders.app, crew(tmp_path, server.url, 2, "-c", "100") as workers:
            async with asyncio.TaskGroup() as group:
                submitting = group.create_task(orders.submit_all(TASKS, SECONDS))
                for part in (1, 2, 3):
                    await begun(workers, part * TASKS // 5)
                    server.kill()
                    killed = time.time()
                    await asyncio.sleep(0.3)
                    await server.start()
                    outages.append((killed, time.time()))
            assert submitting.done()
            lost = await lost_for_good(orders)
            runs = workers.begun()
            unharmed(workers)
            broker = orders.app.broker
            assert isinstance(broker, RedisBroker)
            assert not (await broker.sweep(limit=10)).sessions
            depths = [(one.ready, one.delayed, one.running, one.dead) for one in await broker.inspect()]
            completed = await orders.completed()
            history = await orders.history()
    finally:
        server.kill()

    assert depths == [(0, 0, 0, 0)]
    assert not [event for event in history if event.kind is EventKind.LOST], "no session was reaped"
    assert set(completed.values()) == {1}, "nothing was completed twice"
    assert len(orders.confirmed) >= TASKS * 0.9
    if fsync == "always":
        assert not lost, "what was confirmed was completed"
        assert set(orders.confirmed) <= set(completed)
    for at in lost.values():
        assert any(0 <= killed - at <= KEPT_BACK for killed, _ in outages), "only the very last of what was confirmed"
    ended = sorted(event.at for event in history if event.kind is EventKind.COMPLETED)
    returns = [next(at for at in ended if at > back) - back for _, back in outages]
    assert max(returns) < BACK
    print(
        f"appendfsync {fsync}: {len(orders.confirmed)} of {TASKS} confirmed, {len(lost)} of them lost,"
        f" {sum(runs.values()) - len(runs)} runs were repeated;"
        f" first completions {', '.join(f'{one:.2f}' for one in returns)} s after the server's return"
    )


async def lost_for_good(orders: Orders) -> dict[str, float]:
    """Wait until all that the store knows has finished; return what it does not know, and when that had been confirmed."""
    lost: dict[str, float] = {}

    async def over() -> bool:
        left = await orders.unfinished()
        lost.clear()
        lost.update((one, orders.confirmed[one][1]) for one, state in left.items() if state is None)
        await asyncio.sleep(min(0.25, (len(left) - len(lost)) / 10_000))
        return len(left) == len(lost)

    await until(over, "all that is known has finished", seconds=90)
    return lost


@pytest.mark.timeout(90)
@pytest.mark.parametrize("how", ["killed", "stopped"])
async def test_down_for_longer_than_a_lease(ground: Ground, tmp_path: Path, how: str) -> None:
    server = await ground.server("--appendfsync", "always")
    orders = Orders(f"{server.url}?timeout=2")
    lease = 1.0
    try:
        async with orders.app, crew(tmp_path, orders.app.url.raw, 2, "-c", "100", "--lease", str(lease)) as workers:
            await asyncio.sleep(1.5 * lease)  # all are in touch long enough to judge each other
            await orders.submit(range(100), 4 * lease)
            await begun(workers, 100)
            if how == "killed":
                server.kill()
                await asyncio.sleep(2.5 * lease)
                await server.start()
            else:
                async with server.paused():
                    await asyncio.sleep(2.5 * lease)
            back = time.time()
            await orders.submit(range(100, 200), SECONDS)
            await orders.all_finished(seconds=20)
            await asyncio.sleep(1.5 * lease)  # time to judge wrongly
            history = await orders.history()
            completed = await orders.completed()
            assert all(member.alive for member in workers.members)
            counted = workers.begun()
    finally:
        server.kill()
    assert len(orders.confirmed) == 200
    assert counted == Counter(range(200)), "each was begun once"
    assert set(completed) == set(orders.confirmed)
    assert set(completed.values()) == {1}
    kinds = Counter(event.kind for event in history)
    assert (kinds[EventKind.LOST], kinds[EventKind.DISCARDED], kinds[EventKind.WORKER_JOINED]) == (0, 0, 2)
    quick = {one for one, (number, _) in orders.confirmed.items() if number >= 100}
    first = min(event.at for event in history if event.kind is EventKind.COMPLETED and event.task_id in quick)
    assert first - back < BACK
    print(
        f"{how} for {2.5 * lease:g} s, lease {lease:g} s: nothing repeated; first new completion {first - back:.2f} s after its return"
    )
