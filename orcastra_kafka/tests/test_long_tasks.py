"""Tasks that take longer than a group waits for a poll, than a rebalance, or than a session lasts."""

from __future__ import annotations

import asyncio
import itertools
import os
import signal
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from kafka_rig import SHOP, Orders
from server_rig import at_work, crew, until

from orcastra_core import Orcastra
from orcastra_kafka.classic import options, private
from orcastra_kafka.classic.member import Member
from orcastra_kafka.conformance_servers import Server

INTERVAL = 1.0
LONG = 4.0


class Groups:
    """What the members of this process were told: the generation of each agreement that they were part of."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.agreed: list[int] = []
        self._members: list[Member] = []
        before = Member.on_partitions_assigned

        async def on_partitions_assigned(member: Member, places: Any) -> None:
            self.agreed.append(private.generation(member._consumer))
            if member not in self._members:
                self._members.append(member)
            await before(member, places)

        monkeypatch.setattr(Member, "on_partitions_assigned", on_partitions_assigned)

    @property
    def now(self) -> set[int]:
        """The generations that the members know at the moment."""
        return {private.generation(member._consumer) for member in self._members}


def make_app(kafka: Server, folder: Path, ran: Counter[int], *, blocks: bool = False) -> tuple[Orcastra, Any]:
    app = Orcastra(f"{kafka.url}/?lane=classic&levels=1", scheduler=f"sqlite:///{folder / 'delayed.db'}")

    @app.task(name="note", queue="q")
    async def note(number: int, seconds: float) -> int:
        ran[number] += 1
        if blocks:
            time.sleep(seconds)  # noqa: ASYNC251 - what a careless task does
        else:
            await asyncio.sleep(seconds)
        return number

    return app, note


@pytest.mark.timeout(60)
@pytest.mark.parametrize("blocks", [False, True], ids=["sleeps", "blocks the loop"])
async def test_longer_than_the_poll_interval(
    kafka: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, blocks: bool
) -> None:
    """It is run once, and nothing is shared out anew: the group is still in its first generation."""
    whole = options.for_consumer
    monkeypatch.setattr(
        options, "for_consumer", lambda *args: {**whole(*args), "max_poll_interval_ms": round(INTERVAL * 1000)}
    )
    groups, ran = Groups(monkeypatch), Counter[int]()
    app, note = make_app(kafka, tmp_path, ran, blocks=blocks)
    async with app, at_work(app, lease=2.0):
        handles = [await note.submit(number, LONG) for number in range(2)]
        assert [await handle for handle in handles] == [0, 1]
        assert groups.agreed == [1], "the one join at the beginning"
        assert groups.now == {1}, "and that is what holds"
    assert ran == {0: 1, 1: 1}


@pytest.mark.timeout(60)
async def test_a_worker_joins_amid_a_long_task(kafka: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The group shares out anew, but a partition stays with whoever has work of it in hand: run once."""
    groups, ran = Groups(monkeypatch), Counter[int]()
    app, note = make_app(kafka, tmp_path, ran)
    there: Counter[int] = Counter()
    other, _ = make_app(kafka, tmp_path, there)
    async with app, at_work(app, lease=2.0):
        long = await note.submit(0, LONG)
        await until(lambda: ran[0] == 1, "it is begun")
        async with other:
            async with at_work(other, lease=2.0):
                await until(lambda: max(groups.agreed) > 1, "it joined")
                await asyncio.gather(*[await note.submit(number, 0.1) for number in range(1, 41)])
                assert there, "it has a share of the work"
            assert await long == 0
    assert ran[0] + there[0] == 1
    assert ran + there == Counter(range(41))


@pytest.mark.timeout(60)
async def test_a_worker_stands_still_for_longer_than_its_lease(kafka: Server, tmp_path: Path) -> None:
    """What it held is run elsewhere, once more; it comes back by itself."""
    url = f"{kafka.url}/?lane=classic&levels=1"
    orders = Orders(url)
    async with orders.app, crew(tmp_path, url, 1, "--lease", "1", source=SHOP) as workers:
        (still,) = workers.members
        await orders.submit([0], LONG)
        await until(lambda: workers.begun()[0] == 1, "it is begun", seconds=20)
        heir = await workers.hire()
        os.kill(still.pid, signal.SIGSTOP)
        try:
            await until(lambda: workers.begun()[0] == 2, "it is begun elsewhere", seconds=20)
        finally:
            os.kill(still.pid, signal.SIGCONT)
        assert workers.runs()[1].pid == heir.pid
        numbers = itertools.count(1)

        async def works_again() -> bool:
            await orders.submit([next(numbers) for _ in range(20)], 0.2)
            return any(run.pid == still.pid and run.number for run in workers.runs())

        await until(works_again, "it works again", seconds=20)
        await until(lambda: set(workers.begun()) == orders.confirmed, "all were begun", seconds=20)
    assert workers.begun()[0] == 2
