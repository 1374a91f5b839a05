"""A worker process is killed amid work: another takes up what it held, and nothing is lost."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest
from kafka_rig import SHOP, Orders
from server_rig import crew, until

from orcastra_kafka.conformance_servers import Server

SECONDS = 0.005
"""What a task takes."""
STICKY = 16
"""So many, the first, take longer than the test: whoever has begun one is killed with it in its hands."""
FOREVER = 600.0
TOTAL = 5000


@pytest.mark.timeout(180)
@pytest.mark.parametrize(
    "query, lease, soon",
    [
        pytest.param("lane=share", 2.0, 1.0, id="share"),
        pytest.param("lane=classic", 2.0, 3.0, id="classic"),
        pytest.param("lane=classic&transactions=1", 2.0, 3.0, id="transactions"),
    ],
)
async def test_killed_amid_work(kafka: Server, tmp_path: Path, query: str, lease: float, soon: float) -> None:
    url = f"{kafka.url}/?{query}&levels=1"
    orders = Orders(url)
    async with orders.app, crew(tmp_path, url, 2, "-c", "50", "--lease", str(lease), source=SHOP) as workers:
        await orders.submit(range(STICKY), FOREVER)
        await until(lambda: len(workers.begun()) == STICKY, "they are begun", seconds=30)
        victim = next(one for one in workers.members if one.pid == workers.runs()[0].pid)
        heir = next(one for one in workers.members if one is not victim)
        stuck = {run.number for run in workers.by_member()[victim.pid]}
        submitting = asyncio.create_task(orders.submit_all(TOTAL, SECONDS, first=STICKY))
        await until(lambda: len(workers.begun()) > TOTAL // 10, "they work", seconds=60)
        await victim.kill()
        killed = time.time()
        assert len(workers.begun()) < TOTAL, "it was in mid-run"
        await submitting
        assert len(orders.confirmed) == TOTAL
        await until(lambda: len(workers.begun()) == TOTAL, "all were begun", seconds=60)
        await until(lambda: all(workers.begun()[number] == 2 for number in stuck), "and begun again", seconds=60)
        held = [run.number for run in workers.runs() if run.pid == victim.pid and workers.begun()[run.number] > 1]
        again = [run.at - killed for run in workers.by_member()[heir.pid] if run.number in held and run.at > killed]
        await heir.kill()  # the sticky ones are its own now
    assert set(workers.begun()) == orders.confirmed, "nothing was lost"
    assert stuck <= set(held)
    assert len(held) <= 200, "what it had settled was not repeated"
    assert min(again) < soon
    print(
        f"{query}: {len(held)} of {TOTAL} repeated, begun again {min(again):.2f} to {max(again):.2f} s after the kill"
    )
