"""A task longer than max.poll.interval.ms, and one that blocks the loop for that long: run once, and nothing is shared out anew."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from orcastra_core import Orcastra
from orcastra_kafka.classic import options
from orcastra_kafka.classic.member import Member
from orcastra_kafka.conformance_servers import Server

INTERVAL = 1.0
LONG = 4.0


@pytest.mark.timeout(60)
@pytest.mark.parametrize("blocks", [False, True], ids=["sleeps", "blocks the loop"])
async def test_longer_than_the_poll_interval(
    kafka: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, blocks: bool
) -> None:
    whole = options.for_consumer
    monkeypatch.setattr(
        options, "for_consumer", lambda *args: {**whole(*args), "max_poll_interval_ms": round(INTERVAL * 1000)}
    )
    revoked: list[Any] = []
    before = Member.on_partitions_revoked

    async def on_partitions_revoked(self: Member, places: Any) -> None:
        revoked.append(places)
        await before(self, places)

    monkeypatch.setattr(Member, "on_partitions_revoked", on_partitions_revoked)
    ran: Counter[int] = Counter()
    app = Orcastra(f"{kafka.url}/?lane=classic&levels=1", scheduler=f"sqlite:///{tmp_path / 'delayed.db'}")

    @app.task(name="long", queue="q")
    async def long(number: int) -> int:
        ran[number] += 1
        if blocks:
            time.sleep(LONG)  # noqa: ASYNC251 - what a careless task does
        else:
            await asyncio.sleep(LONG)
        return number

    async with app:
        worker = app.worker(lease=2.0)
        working = asyncio.create_task(worker.run())
        handles = [await long.submit(number) for number in range(2)]
        assert [await handle for handle in handles] == [0, 1]
        worker.stop()
        await working
    assert ran == {0: 1, 1: 1}
    assert len(revoked) == 1, "the one join at the beginning"
