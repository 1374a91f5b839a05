"""The roles of the guide, word for word: the worker's suffices for everything but the tables, and for nothing else."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from postgres_rig import Open

from orcastra_conformance import all_cases, run_case
from orcastra_conformance.engine.case import Case
from orcastra_conformance.engine.harness import Address, ServerFacts
from orcastra_conformance.engine.outcome import Outcome
from orcastra_core.model.errors import BrokerError
from orcastra_postgres import migrate
from orcastra_postgres.conformance import Harness
from orcastra_postgres.conformance_ground import Ground
from orcastra_postgres.conformance_servers import Server
from orcastra_postgres.conformance_setups import Setup

GUIDE = Path(__file__).parents[2] / "docs/guides/postgres.md"
GROUPS = {
    "can", "dead", "dedup", "events", "evt", "find", "inspect", "ord", "pause", "pub", "purge", "res", "sch", "set",
}  # fmt: skip
QUICK = {"set.emit", "con.cancelled-wait", "ses.leave-releases", "ses.sweep-reaps-lapsed", "num.repeat"}
UNMADE = {"fault.structures-deleted"}
"""Cases in which tables are to be made anew, which this role may not."""


def blocks() -> tuple[str, str]:
    """What the guide has an administrator run before the tables are made, and after."""
    before, after = re.findall(r"```sql\n(.*?)```", GUIDE.read_text(), flags=re.DOTALL)[:2]
    return before, after


async def prepare(server: Server) -> None:
    """Do what the guide says."""
    before, after = blocks()
    if not await server.ask("select 1 from pg_roles where rolname = 'orcastra'"):
        await run(server, before)
    owner = await server.client(user="orcastra_owner")
    await migrate.migrate(owner, "orcastra")
    await owner.close()
    await run(server, after)


async def run(server: Server, text: str) -> None:
    client = await server.client()
    try:
        await client.execute(text)
    finally:
        await client.close()


class Restricted(Harness):
    """Brokers that are the guide's user. The harness itself is somebody else."""

    async def start(self) -> ServerFacts:
        self._ground = Ground()
        self._setup = Setup(self._ground, "default")
        await self._setup.start()
        await prepare(self._setup.server)
        return ServerFacts("PostgreSQL", "postgresql://orcastra@127.0.0.1/postgres")

    def url(self, domain: str, *, at: Address | None = None) -> str:
        return super().url(domain, at=at).replace("postgres@", "orcastra@", 1) + "&migrate=0"


@pytest.fixture(scope="module")
def harness() -> Iterator[Restricted]:
    harness = Restricted()
    try:
        harness.facts = asyncio.run(harness.start())
        yield harness
    finally:
        asyncio.run(harness.stop())


def _cases() -> list[object]:
    chosen = [case for case in all_cases() if case.id.partition(".")[0] in GROUPS or case.id in QUICK]
    assert len(chosen) > 60
    marks = {False: (), True: (pytest.mark.proof,)}
    return [
        pytest.param(case, id=case.id, marks=marks[case not in chosen or case.budget > 2.0])
        for case in all_cases()
        if case.id not in UNMADE
    ]


@pytest.mark.postgres
@pytest.mark.parametrize("case", _cases())
def test_it_suffices(case: Case, harness: Restricted) -> None:
    report = run_case(case, harness)
    assert report.outcome not in (Outcome.FAILED, Outcome.HARNESS_ERROR), str(report)


@asynccontextmanager
async def prepared(server: Server) -> AsyncIterator[Any]:
    """A connection as the guide's user."""
    await prepare(server)
    await server.ask("create table secret as select 1 as one")
    client = await server.client(user="orcastra")
    try:
        yield client
    finally:
        await client.close()


async def test_it_allows_nothing_else(postgres: Server) -> None:
    async with prepared(postgres) as client:
        for statement in (
            "select * from secret",
            "create table mine (one int)",
            "create table orcastra.mine (one int)",
            "create schema mine",
            "drop table orcastra.task",
            "alter table orcastra.task add mine int",
            "truncate orcastra.task",
            "update orcastra.layout set version = 2",
            "create role mine",
            "set role orcastra_owner",
            "select pg_read_file('postgresql.conf')",
        ):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await client.execute(statement)


async def test_it_need_not_migrate_and_may_not(postgres: Server, opened: Open) -> None:
    await run(postgres, blocks()[0])
    with pytest.raises(BrokerError, match="orcastra postgres migrate"):
        await opened(postgres.url(user="orcastra") + "?migrate=0")
    await prepare(postgres)
    await opened(postgres.url(user="orcastra"))  # nothing is left to be done: then it need not say migrate=0
