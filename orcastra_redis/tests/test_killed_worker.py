"""A worker process is killed amid work: another takes up what it held, soon, and nothing is done twice."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from server_rig import Orders, crew, until

from orcastra_core.model.event import EventKind
from orcastra_redis.conformance_servers import Server

SECONDS = 0.005
"""What a task takes."""


@pytest.mark.timeout(120)
@pytest.mark.parametrize(
    "total, lease, soon",
    [pytest.param(5000, 2.0, 3.0, id="lease of 2 s"), pytest.param(1500, None, 12.0, id="default lease")],
)
async def test_killed_amid_work(redis: Server, tmp_path: Path, total: int, lease: float | None, soon: float) -> None:
    orders = Orders(redis.url)
    arguments = () if lease is None else ("--lease", str(lease))
    async with orders.app, crew(tmp_path, redis.url, 2, "-c", "50", *arguments) as workers:
        victim, heir = workers.members
        await orders.submit_all(total, SECONDS)
        assert len(orders.confirmed) == total
        await until(lambda: len(workers.by_member()[victim.pid]) > total // 10, "it works")
        await victim.kill()
        killed = time.time()
        begun = workers.by_member()
        assert heir.pid in begun, "both worked"
        assert sum(map(len, begun.values())) < total, "it was in mid-run"
        await orders.all_finished(seconds=soon + 15)
        completed = await orders.completed()
        lost = [event.task_id for event in await orders.history() if event.kind is EventKind.LOST]

    assert set(completed) == set(orders.confirmed), "all were completed"
    assert set(completed.values()) == {1}, "and nothing twice"
    held = {orders.confirmed[one][0] for one in lost if one is not None}
    assert held, "it died with tasks in its hands"
    assert len(held) == len(lost), "each was lost once"
    again = {run.number: run.at - killed for run in workers.by_member()[heir.pid] if run.number in held}
    assert set(again) == held, "the other took up all of them"
    assert min(again.values()) > 0.0
    assert max(again.values()) < soon
    print(
        f"lease {lease or 'as it comes'}: {len(held)} of {total} tasks were in its hands;"
        f" begun again {min(again.values()):.2f} to {max(again.values()):.2f} s after the kill"
    )
