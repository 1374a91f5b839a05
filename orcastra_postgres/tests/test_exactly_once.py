"""Tasks that write in their settling transaction: whatever happens to the workers, each takes effect once."""

from __future__ import annotations

import asyncio
import os
import random
import signal
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from postgres_rig import bank
from postgres_rig.bank import ACCOUNTS, START, Bank
from server_rig import Crew, Member, Orders, crew

from orcastra_postgres.conformance_servers import Server

SECONDS = 60.0 if os.environ.get("ORCASTRA_PROOF") else 10.0
LEASE = 2.0
WORKERS = 3


class Teller(Orders):
    """Submits transfers."""

    def __init__(self, url: str) -> None:
        super().__init__(url)

        @self.app.task(name="transfer", queue="q")
        async def transfer(number: int, source: int, target: int, cents: int) -> int:
            raise NotImplementedError

        self.transfer: Any = transfer

    async def move_money(self, rng: random.Random, seconds: float) -> int:
        """Submit transfers at a steady pace for so long; return how many."""
        loop = asyncio.get_running_loop()
        end, number = loop.time() + seconds, 0
        while loop.time() < end:
            numbers = range(number, number + 10)
            calls = [
                self.transfer.call(n, *rng.sample(range(1, ACCOUNTS + 1), 2), rng.randrange(1, 5000)) for n in numbers
            ]
            outcomes = await self.app.submit_many(calls)
            for n, outcome in zip(numbers, outcomes, strict=True):
                if outcome.error is None:
                    self.confirmed[outcome.handle.id] = n, loop.time()
                else:
                    self.errors.append(outcome.error)
            number += 10
            await asyncio.sleep(0.05)
        return number


class Mishap:
    """What happens to workers and their connections, by chance."""

    def __init__(self, rng: random.Random, server: Server, workers: Crew) -> None:
        self._rng = rng
        self._server = server
        self._workers = workers
        self.done: Counter[str] = Counter()
        self._killed: set[Member] = set()

    async def happen(self, seconds: float) -> None:
        """Let one happen after the other, for so long."""
        loop = asyncio.get_running_loop()
        end = loop.time() + seconds
        kinds: list[Callable[[], Awaitable[None]]] = [self._kill, self._stop, self._terminate, self._terminate]
        while loop.time() < end:
            await asyncio.sleep(self._rng.uniform(0.1, 0.8))
            kind = self._rng.choice(kinds)
            await kind()
            self.done[kind.__name__] += 1

    def _alive(self) -> list[Member]:
        """Return who works: all that were not killed."""
        working = [member for member in self._workers.members if member not in self._killed]
        for member in working:
            assert member.alive, f"it ended by itself:\n{member.text}"
        return working

    async def _kill(self) -> None:
        member = self._rng.choice(self._alive())
        self._killed.add(member)
        await member.kill()
        await self._workers.hire()

    async def _stop(self) -> None:
        """Have one stand still, now and then for so long that it is given up for dead; what it then says comes too late."""
        member = self._rng.choice(self._alive())
        os.kill(member.pid, signal.SIGSTOP)
        try:
            await asyncio.sleep(self._rng.choice([0.3, LEASE + 1.5]))
        finally:
            os.kill(member.pid, signal.SIGCONT)

    async def _terminate(self) -> None:
        await self._server.ask(
            "select pg_terminate_backend(pid) from pg_stat_activity"
            " where pid <> pg_backend_pid() and backend_type = 'client backend' and random() < 0.3"
        )


@pytest.mark.timeout(240)
async def test_money_adds_up_to_the_cent(postgres: Server, tmp_path: Path) -> None:
    rng = random.Random(7)
    books, teller = Bank(postgres), Teller(postgres.url())
    await books.found()
    arguments = ("-c", "20", "--lease", str(LEASE))
    async with teller.app, crew(tmp_path, postgres.url(), WORKERS, *arguments, source=bank.SHOP) as workers:
        mishap = Mishap(rng, postgres, workers)
        async with asyncio.TaskGroup() as group:
            moving = group.create_task(teller.move_money(rng, SECONDS))
            group.create_task(mishap.happen(SECONDS))
        submitted = moving.result()
        await teller.all_finished(seconds=60)
        completed = await teller.completed()

    balances, transfers = await books.balances(), await books.transfers()
    print(f"{submitted} transfers, {len(teller.confirmed)} confirmed; {dict(mishap.done)}")
    assert mishap.done.total() > SECONDS / 4
    assert sum(balances.values()) == ACCOUNTS * START, "no cent is missing"
    expected = Counter(dict.fromkeys(range(1, ACCOUNTS + 1), START))
    for _, source, target, cents in transfers:
        expected[source] -= cents
        expected[target] += cents
    assert balances == dict(expected), "each account has what the transfers left it"
    numbers = Counter(number for number, *_ in transfers)
    assert {number: times for number, times in numbers.items() if times > 1} == {}, "each was applied once"
    confirmed = {number for number, _ in teller.confirmed.values()}
    assert confirmed <= set(numbers), "and each that was confirmed was applied"
    assert set(numbers) <= set(range(submitted))
    assert set(teller.confirmed) <= set(completed)
    assert set(completed.values()) == {1}
