"""The tables: made once, whoever comes first; brought up to date; left alone where they are not ours to understand."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from postgres_rig import Open
from server_rig import QUEUE, make, taken

from orcastra_core.model.broker_url import BrokerUrl
from orcastra_core.model.errors import BrokerError, ContractMismatch, OrcastraError
from orcastra_core.model.published import STORED
from orcastra_core.model.settlement import Done
from orcastra_postgres import PostgresBroker
from orcastra_postgres.conformance_servers import Server

RELATIONS = "select relname::text from pg_class where relnamespace = to_regnamespace('orcastra') order by 1"


async def orcastra(*words: str) -> subprocess.CompletedProcess[str]:
    """Run the command line."""
    command = [sys.executable, "-m", "orcastra_core.cli", *words]
    return await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True, check=False, timeout=60)


async def works(broker: PostgresBroker) -> None:
    """A task goes through it."""
    session = await broker.open_session([QUEUE], lease=5.0)
    assert await broker.publish([make.envelope()]) == [STORED]
    (delivery,) = await taken(session, 1)
    assert await session.settle([make.complete(delivery)], number=1) == [Done()]
    await session.leave()


async def test_many_that_come_first_at_the_same_time(postgres: Server) -> None:
    brokers = [PostgresBroker(BrokerUrl.parse(postgres.url() + f"?domain=d{number % 3}")) for number in range(12)]
    try:
        profiles = await asyncio.gather(*(broker.open() for broker in brokers))
        assert len({profile.server for profile in profiles}) == 1
        await works(brokers[0])
    finally:
        for broker in brokers:
            await broker.close()
    assert len(await postgres.ask("select * from orcastra.layout")) == 1
    assert await postgres.ask("select name from orcastra.domain order by 1") == [("d0",), ("d1",), ("d2",)]


async def test_processes_that_migrate_at_the_same_time(postgres: Server) -> None:
    ran = await asyncio.gather(*(orcastra("postgres", "migrate", "--url", postgres.url()) for _ in range(4)))
    assert [(one.returncode, one.stderr) for one in ran] == [(0, "")] * 4
    said = sorted(one.stdout.partition(": ")[2] for one in ran)
    assert said[-1] == "the schema orcastra was made\n"
    assert set(said) <= {"the schema orcastra is up to date\n", "the schema orcastra was made\n"}
    assert len(await postgres.ask("select * from orcastra.layout")) == 1


async def test_schemas_beside_each_other(postgres: Server, opened: Open) -> None:
    one = await opened(postgres.url() + "?schema=shop")
    other = await opened(postgres.url() + "?schema=farm")
    envelope = make.envelope()
    assert await one.publish([envelope]) == [STORED]
    assert await other.publish([envelope]) == [STORED], "they know nothing of each other"
    assert await postgres.ask("select to_regnamespace('orcastra')") == [(None,)]


async def test_a_newer_layout_is_refused_and_left_alone(postgres: Server, opened: Open) -> None:
    await opened()
    await postgres.ask("update orcastra.layout set version = 99, contract = '7.1'")
    for more in ("", "?migrate=0"):
        with pytest.raises(ContractMismatch, match=r"layout 99, this release knows 1; upgrade") as refused:
            await opened(postgres.url() + more)
        assert not refused.value.retryable
    ran = await orcastra("postgres", "migrate", "--url", postgres.url())
    assert ran.returncode == 1
    assert "99" in ran.stderr
    assert "Traceback" not in ran.stderr
    assert await postgres.ask("select version, contract from orcastra.layout") == [(99, "7.1")]


@pytest.mark.parametrize("made", [False, True], ids=["none", "an older one"])
async def test_told_not_to_migrate_it_says_who_has_to(postgres: Server, opened: Open, made: bool) -> None:
    if made:
        await opened()
        await postgres.ask("update orcastra.layout set version = 0")
    before = await postgres.ask(RELATIONS)
    with pytest.raises(BrokerError, match="orcastra postgres migrate") as refused:
        await opened(postgres.url() + "?migrate=0")
    assert not refused.value.retryable
    assert await postgres.ask(RELATIONS) == before


async def test_a_worker_that_meets_another_layout_says_so_and_ends(
    postgres: Server, tmp_path: Path, opened: Open
) -> None:
    await opened()
    await postgres.ask("update orcastra.layout set version = 99")
    lines = (
        "from orcastra_core import Orcastra",
        f"app = Orcastra({postgres.url()!r})",
        "app.task(name='noop')(len)",
        "",
    )
    (tmp_path / "shop.py").write_text("\n".join(lines))
    command = [sys.executable, "-m", "orcastra_core.cli", "worker", "shop:app", "-q", "q"]
    ran = await asyncio.to_thread(
        subprocess.run, command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=30
    )
    assert ran.returncode == 1
    assert "layout 99" in ran.stderr
    assert "Traceback" not in ran.stderr


async def test_a_migration_that_fails_leaves_nothing(postgres: Server, opened: Open) -> None:
    await postgres.ask("create schema orcastra")
    await postgres.ask("create view orcastra.schedule as select 1 as one")  # in the way of one of the last tables
    with pytest.raises(OrcastraError) as failed:
        await opened()
    assert "schedule" in str(failed.value)
    assert await postgres.ask(RELATIONS) == [("schedule",)]
    await postgres.ask("drop view orcastra.schedule")
    await works(await opened())


async def test_the_sql_is_for_anybody_to_run(postgres: Server, opened: Open) -> None:
    printed = await orcastra("postgres", "migrate", "--sql")
    assert (printed.returncode, printed.stderr) == (0, "")
    await run(postgres, printed.stdout)
    await works(await opened(postgres.url() + "?migrate=0"))
    made = await postgres.ask(RELATIONS)
    assert (await orcastra("postgres", "migrate", "--url", postgres.url())).returncode == 0
    assert await postgres.ask(RELATIONS) == made, "the command has nothing left to do"


async def test_the_sql_is_of_the_schema_that_the_url_names(postgres: Server, opened: Open) -> None:
    url = postgres.url() + "?schema=shop&migrate=0"
    await run(postgres, (await orcastra("postgres", "migrate", "--sql", "--url", url)).stdout)
    assert await postgres.ask("select to_regnamespace('orcastra')") == [(None,)]
    await works(await opened(url))


async def test_the_sql_makes_what_open_makes(postgres: Server, opened: Open) -> None:
    await opened()
    await run(
        postgres, (await orcastra("postgres", "migrate", "--sql", "--url", postgres.url() + "?schema=other")).stdout
    )
    made: Sequence[object] = await postgres.ask(DESCRIBED, "orcastra")
    assert len(made) > 50
    assert await postgres.ask(DESCRIBED, "other") == made


DESCRIBED = """
select * from (
  select c.relname::text as of, a.attname::text as what, format_type(a.atttypid, a.atttypmod) as how, c.reloptions::text as options
  from pg_class c join pg_attribute a on a.attrelid = c.oid where c.relnamespace = to_regnamespace($1) and a.attnum > 0
  union all
  select p.proname::text, pg_get_function_identity_arguments(p.oid), md5(replace(p.prosrc, '"' || $1 || '"', '')), p.proconfig::text
  from pg_proc p where p.pronamespace = to_regnamespace($1)
) x order by 1, 2, 3
"""


async def run(server: Server, text: str) -> None:
    """Run SQL as psql would."""
    client = await server.client()
    try:
        await client.execute(text)
    finally:
        await client.close()


@pytest.mark.parametrize(
    "words, said",
    [
        (("migrate",), "name a database"),
        (("migrate", "--url", "redis://localhost"), "only a postgresql:// URL has tables to migrate"),
        (("migrate", "--url", "postgresql://h/d?nope=1"), "has no parameter 'nope'"),
        (("migrate", "--url", "postgresql://ann:hunter2@127.0.0.1:1/d?connect_timeout=2"), "127.0.0.1:1"),
    ],
)
async def test_the_command_says_what_is_wrong(
    words: tuple[str, ...], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("ORCASTRA_URL", raising=False)
    ran = await orcastra("postgres", *words)
    assert ran.returncode in (1, 2)
    assert said in ran.stderr
    assert "Traceback" not in ran.stderr
    assert "hunter" not in ran.stderr
