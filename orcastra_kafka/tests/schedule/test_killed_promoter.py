"""A worker is killed while what was delayed comes due: another fires the rest, and all of it runs."""

from __future__ import annotations

import time
import uuid
from pathlib import Path
from typing import Any

import pytest
from kafka_rig import Open
from schedule_rig import fired
from server_rig import crew, until
from server_rig.crews import shop

from orcastra_core import Orcastra
from orcastra_kafka.conformance_servers import Server

TOTAL = 1000


@pytest.mark.timeout(120)
@pytest.mark.parametrize("lane", ["lane=share", "lane=classic"])
async def test_killed_while_delayed_tasks_come_due(shared: Server, opened: Open, tmp_path: Path, lane: str) -> None:
    url = f"{shared.url}/?{lane}&levels=1&domain=s-{uuid.uuid4().hex}"
    app = Orcastra(url)

    @app.task(name="note", queue="q", result_ttl=0.0)
    async def note(number: int, seconds: float) -> int:
        raise NotImplementedError

    submit: Any = note
    workers_of = shop("", ", result_ttl=0.0")
    async with app, crew(tmp_path, url, 2, "-c", "50", "--lease", "2", source=workers_of) as workers:
        begun = time.time()
        calls = (submit.options(delay=1.0 + 3.0 * n / TOTAL).call(n, 0.001) for n in range(TOTAL))
        outcomes = await app.submit_many(calls)
        assert all(outcome.error is None for outcome in outcomes)
        await until(lambda: len(workers.begun()) > TOTAL // 4, "they come due", seconds=30)
        await workers.members[0].kill()
        killed = time.time()
        assert len(workers.begun()) < TOTAL, "it was in mid-run"
        await until(lambda: len(workers.begun()) == TOTAL, "all were begun", seconds=30)
        runs = workers.runs()
    first = {run.number: run.at for run in reversed(runs)}
    assert all(at >= begun + 1.0 + 3.0 * n / TOTAL - 0.01 for n, at in first.items()), "none before it was due"
    late = max(at - (begun + 1.0 + 3.0 * n / TOTAL) for n, at in first.items())
    counts = await fired(await opened(url))
    assert len(counts) == TOTAL
    assert counts.total() == TOTAL, "each was published once"
    print(
        f"\n{lane}: at the most {late:.2f} s late, killed after {killed - begun:.2f} s; {len(runs) - TOTAL} run again"
    )
