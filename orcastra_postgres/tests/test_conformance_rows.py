"""The harness's rows: by every client library, committed, rolled back, broken and cut."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress

import pytest

from orcastra_conformance import Rows
from orcastra_postgres.conformance_rows import Table
from orcastra_postgres.conformance_servers import Server

CLIENTS = ("asyncpg", "psycopg", "sqlalchemy")
each_client = pytest.mark.parametrize("client", CLIENTS)


class PostgresRows(Table, Rows):
    """As the harness has it."""


class RollBack(Exception):  # noqa: N818 - no error
    """Ends a transaction."""


@pytest.fixture
async def table(postgres: Server) -> AsyncIterator[Rows]:
    async with PostgresRows.made(postgres.url(), "a domain «ü» 'quoted'") as table:
        yield table


async def test_what_is_installed_is_known(table: Rows) -> None:
    assert list(table.clients) == list(CLIENTS), "the development environment has all of them"


@each_client
async def test_rows_are_seen_with_the_commit_and_not_before(table: Rows, client: str) -> None:
    async with table.transaction(client) as connection:
        for row in ("z", "a", "m"):
            await table.add(connection, row)
        assert list(await table.seen()) == []
    assert list(await table.seen()) == ["z", "a", "m"], "in the order of their writing"


@each_client
async def test_a_block_that_raises_leaves_none(table: Rows, client: str) -> None:
    with suppress(RollBack):
        async with table.transaction(client) as connection:
            await table.add(connection, "row")
            raise RollBack
    assert list(await table.seen()) == []


@each_client
async def test_without_a_transaction_a_row_is_there_at_once_or_never(table: Rows, client: str) -> None:
    async with table.idle(client) as connection:
        await table.add(connection, "row")
    assert list(await table.seen()) == ([] if client == "sqlalchemy" else ["row"]), "SQLAlchemy begins by itself"


@each_client
async def test_a_rule_breaks_with_the_commit(table: Rows, client: str) -> None:
    error: Exception | None = None
    reached = False
    try:
        async with table.transaction(client) as connection:
            await table.add(connection, "row")
            await table.break_rule(connection)
            reached = True
    except Exception as raised:  # noqa: BLE001 - the client library's
        error = raised
    assert reached, "the statement itself succeeds"
    assert "foreign key" in str(error)
    assert list(await table.seen()) == []


@each_client
async def test_a_cut_connection_ends_its_block_as_it_was_to_end(table: Rows, client: str) -> None:
    with suppress(RollBack):
        async with table.transaction(client) as connection:
            await table.add(connection, "row")
            await table.cut(connection)
            with pytest.raises(Exception):  # noqa: B017, PT011 - the client library's
                await table.add(connection, "another")
            raise RollBack
    with pytest.raises(Exception):  # noqa: B017, PT011 - the client library's
        async with table.transaction(client) as connection:
            await table.cut(connection)
    assert list(await table.seen()) == []


@each_client
async def test_a_cancelled_statement_leaves_a_transaction_to_roll_back(table: Rows, client: str) -> None:
    with suppress(RollBack):
        async with table.transaction(client) as connection:
            async with asyncio.TaskGroup() as group:
                adding = group.create_task(table.add(connection, "row"))
                await asyncio.sleep(0)
                adding.cancel()
            raise RollBack
    async with table.transaction(client) as connection:
        await table.add(connection, "next")
    assert list(await table.seen()) == ["next"]


async def test_its_end_waits_for_nobody(postgres: Server) -> None:
    async with PostgresRows.made(postgres.url(), "a") as left, asyncio.timeout(5), left.idle("asyncpg") as connection:
        async with PostgresRows.made(postgres.url(), "b") as table:
            await connection.execute("BEGIN")
            await table.add(connection, "row")
        await connection.execute("ROLLBACK")
    found = await postgres.ask("SELECT relname FROM pg_class WHERE relname LIKE 'rows\\_%' AND relkind = 'r'")
    assert len(found) == 1, "but for the one that was in use"


async def test_many_may_be_made_at_once(postgres: Server) -> None:
    async def make(domain: str) -> None:
        async with PostgresRows.made(postgres.url(), domain) as table, table.transaction("asyncpg") as connection:
            await table.add(connection, domain)

    async with asyncio.TaskGroup() as group:
        for number in range(5):
            group.create_task(make(f"d{number}"))
