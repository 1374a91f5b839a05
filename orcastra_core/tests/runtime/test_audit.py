"""Deliveries that the store says are held and nobody runs are taken up again."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from core_doubles import FaultyBroker, at_work, attach, until
from core_doubles.faulty import FaultySession

from orcastra_core import Orcastra
from orcastra_core.interfaces.session import Session
from orcastra_core.model.delivery import Delivery, Want
from orcastra_core.plugins import load_broker


class Forgetful(FaultySession):
    """Loses the first reply of a fetch without knowing: what it took is stranded."""

    async def fetch(self, want: Want, /, *, wait: float) -> Sequence[Delivery]:
        taken = await self.real.fetch(want, wait=wait)
        if taken and not self._broker.calls.count("stranded"):
            self._broker.calls.append("stranded")
            return []
        return taken


class ForgetfulBroker(FaultyBroker):
    async def open_session(self, queues: Any, /, *, lease: float) -> Session:
        return Forgetful(self, await self.real.open_session(queues, lease=lease))


async def test_a_stranded_delivery_is_handed_out_again() -> None:
    app = Orcastra("memory://")
    broker = ForgetfulBroker(load_broker("memory://"))
    attach(app, broker)
    ran: list[int] = []

    @app.task
    async def note(n: int) -> int:
        ran.append(n)
        return n

    async with app, at_work(app, lease=0.1) as worker:
        handle = await note.submit(1)
        await until(lambda: "stranded" in broker.calls, "it was stranded")
        assert (await handle.wait(timeout=3)).value == 1
        assert worker.stats.recovered == 0, "under the living session, not by a reap"
    assert ran == [1]


async def test_what_runs_or_waits_to_be_settled_is_let_alone() -> None:
    app = Orcastra("memory://")
    broker = FaultyBroker(load_broker("memory://"))
    attach(app, broker)
    ran: list[int] = []
    go_on = asyncio.Event()

    @app.task
    async def slow(n: int) -> int:
        ran.append(n)
        await go_on.wait()
        return n

    async with app, at_work(app, lease=0.05):
        outcomes = await app.submit_many(slow.call(n) for n in range(20))
        await until(lambda: len(ran) == 20, "all run")
        await asyncio.sleep(0.3)  # several audits
        broker.fail("settle", 4)
        go_on.set()
        assert [await outcome.handle for outcome in outcomes] == list(range(20))
    assert sorted(ran) == list(range(20)), "each ran once"
