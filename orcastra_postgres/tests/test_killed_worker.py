"""A worker process is killed amid work: another takes up what it held, soon, and nothing is done twice."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from server_rig import Orders, crew, until

from orcastra_core.model.event import EventKind
from orcastra_postgres import conformance_ground
from orcastra_postgres.conformance_ground import Ground
from orcastra_postgres.conformance_pgbouncer import Bouncer
from orcastra_postgres.conformance_servers import Server

SECONDS = 0.005
"""What a task takes."""
TOTAL = 5000
LEASE = 2.0


async def killed_amid_work(url: str, folder: Path, *arguments: str) -> list[float]:
    """Kill one of two workers in mid-run; return when its tasks were begun again, in seconds after the kill, sorted."""
    orders = Orders(url)
    async with orders.app, crew(folder, url, 2, "-c", "50", *arguments) as workers:
        victim, heir = workers.members
        await orders.submit_all(TOTAL, SECONDS)
        assert len(orders.confirmed) == TOTAL
        await until(lambda: len(workers.by_member()[victim.pid]) > TOTAL // 10, "it works")
        killed = time.time()
        await victim.kill()
        begun = workers.by_member()
        assert heir.pid in begun, "both worked"
        assert sum(map(len, begun.values())) < TOTAL, "it was in mid-run"
        await orders.all_finished(seconds=30)
        completed = await orders.completed()
        lost = [event.task_id for event in await orders.history() if event.kind is EventKind.LOST]

    assert set(completed) == set(orders.confirmed), "all were completed"
    assert set(completed.values()) == {1}, "and none is in the log twice"
    held = {orders.confirmed[one][0] for one in lost if one is not None}
    assert held, "it died with tasks in its hands"
    assert len(held) == len(lost), "each was lost once"
    again = {run.number: run.at - killed for run in workers.by_member()[heir.pid] if run.number in held}
    assert set(again) == held, "the other took up all of them"
    return sorted(again.values())


async def up_for(server: Server, seconds: float) -> bool:
    ((up,),) = await server.ask("select date_part('epoch', clock_timestamp() - pg_postmaster_start_time())")
    return bool(up > seconds)


def p99(values: list[float]) -> float:
    return values[int(len(values) * 0.99)]


@pytest.mark.timeout(120)
async def test_by_its_lock_it_is_noticed_at_once(postgres: Server, tmp_path: Path) -> None:
    # a restart of the server frees all locks: in the first lease after it a free one proves nothing
    await until(lambda: up_for(postgres, LEASE + 0.1), "it has been up for a lease")
    again = await killed_amid_work(postgres.url(), tmp_path, "--lease", str(LEASE))
    print(
        f"begun again {again[0]:.3f} to {again[-1]:.3f} s after the kill, p99 {p99(again):.3f} s ({len(again)} tasks)"
    )
    assert again[0] > 0.0
    assert p99(again) < 0.3


@pytest.mark.timeout(120)
async def test_through_a_pgbouncer_the_lease_decides(ground: Ground, postgres: Server, tmp_path: Path) -> None:
    if conformance_ground.bouncer() is None:
        pytest.skip("no pgbouncer")
    bouncer = Bouncer(ground, postgres)
    await bouncer.start()
    try:
        url = f"{bouncer.url()}?pooler=1&poll=0.2"
        again = await killed_amid_work(url, tmp_path, "--lease", str(LEASE))
    finally:
        bouncer.kill()
    print(
        f"begun again {again[0]:.2f} to {again[-1]:.2f} s after the kill, p99 {p99(again):.2f} s ({len(again)} tasks)"
    )
    assert p99(again) < LEASE + 1.0
