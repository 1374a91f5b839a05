"""Rows beside the tasks, for the suite's cases of transactions: by asyncpg, psycopg 3 and SQLAlchemy."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, TypeAlias

import asyncpg
import attrs

if TYPE_CHECKING:
    from typing import Self

_SCHEMA = "orcastra_conformance"
_LOCK = 0x6F726361
"""Of those who make the schema at the same time."""
_CREATE = """
CREATE TABLE {table} (
    num bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    row text NOT NULL,
    rule bigint REFERENCES {table} DEFERRABLE INITIALLY DEFERRED
)"""
_ADD = "INSERT INTO {table} (row) VALUES ({place})"
_BREAK = "INSERT INTO {table} (row, rule) VALUES ({place}, -1)"

_Open: TypeAlias = "Callable[[str], AbstractAsyncContextManager[Any]]"


@attrs.frozen
class _Client:
    """What a client library calls what we need.

    Attributes:
        open: Opens a connection on which every statement is a transaction of its own, unless one is begun.
        begin: Begins a transaction and returns what ends it: to be committed, to be rolled back.
    """

    open: _Open
    begin: Callable[[Any], Awaitable[tuple[Callable[[], Awaitable[None]], Callable[[], Awaitable[None]]]]]


class Table:
    """A table of one domain's rows. The harness makes it the suite's ``Rows``, which says what each method owes."""

    def __init__(self, dsn: str, name: str, control: Any) -> None:
        self.clients: Sequence[str] = [client for client in _CLIENTS if find_spec(client) is not None]
        self._dsn = dsn
        self._table = name
        self._control = control

    @classmethod
    @asynccontextmanager
    async def made(cls, dsn: str, domain: str) -> AsyncIterator[Self]:
        """Make the table for a domain, for as long as the context lasts.

        Args:
            dsn: Of the server itself, not of a pooler; its user may create a schema.
            domain: Whose.
        """
        name = f"{_SCHEMA}.rows_{hashlib.sha256(domain.encode()).hexdigest()[:24]}"
        control = await asyncpg.connect(dsn, statement_cache_size=0)
        try:
            async with control.transaction():
                await control.execute("SELECT pg_advisory_xact_lock($1)", _LOCK)
                await control.execute(f"CREATE SCHEMA IF NOT EXISTS {_SCHEMA}")
                await control.execute(_CREATE.format(table=name))
            try:
                yield cls(dsn, name, control)
            finally:
                # whoever has a transaction open on it still keeps it
                with suppress(asyncpg.LockNotAvailableError):
                    await control.execute(f"SET lock_timeout = '0.5s'; DROP TABLE {name}")
        finally:
            await control.close()

    @asynccontextmanager
    async def transaction(self, client: str) -> AsyncIterator[Any]:
        async with self.idle(client) as connection:
            commit, roll_back = await _CLIENTS[client].begin(connection)
            try:
                yield connection
            except BaseException:
                with suppress(Exception):  # the connection is gone, and the transaction with it
                    await roll_back()
                raise
            await commit()

    def idle(self, client: str) -> AbstractAsyncContextManager[Any]:
        return _CLIENTS[client].open(self._dsn)

    async def add(self, connection: Any, row: str) -> None:
        await _run(connection, _ADD.replace("{table}", self._table), row)

    async def seen(self) -> Sequence[str]:
        return [found["row"] for found in await self._control.fetch(f"SELECT row FROM {self._table} ORDER BY num")]  # noqa: S608

    async def break_rule(self, connection: Any) -> None:
        await _run(connection, _BREAK.replace("{table}", self._table), "broken")

    async def cut(self, connection: Any) -> None:
        pid = await _backend(connection)
        await self._control.execute("SELECT pg_terminate_backend($1)", pid)
        while await self._control.fetchval("SELECT count(*) FROM pg_stat_activity WHERE pid = $1", pid):
            pass  # each look is a round trip: it ends meanwhile


async def _run(connection: Any, statement: str, value: str) -> None:
    if isinstance(connection, asyncpg.Connection | asyncpg.pool.PoolConnectionProxy):
        await connection.execute(statement.format(place="$1"), value)
    elif type(connection).__module__.startswith("sqlalchemy"):
        await connection.exec_driver_sql(statement.format(place="$1"), (value,))
    else:
        await connection.execute(statement.format(place="%s"), (value,))


async def _backend(connection: Any) -> int:
    """Return the process id of the connection's server; a pooler's clients do not know it."""
    query = "SELECT pg_backend_pid()"
    if isinstance(connection, asyncpg.Connection | asyncpg.pool.PoolConnectionProxy):
        pid = await connection.fetchval(query)
    elif type(connection).__module__.startswith("sqlalchemy"):
        pid = (await connection.exec_driver_sql(query)).scalar_one()
    else:
        (pid,) = await (await connection.execute(query)).fetchone()
    return int(pid)


@asynccontextmanager
async def _asyncpg(dsn: str) -> AsyncIterator[Any]:
    connection = await asyncpg.connect(dsn)
    try:
        yield connection
    finally:
        await connection.close()


async def _begin_asyncpg(connection: Any) -> tuple[Callable[[], Awaitable[None]], Callable[[], Awaitable[None]]]:
    transaction = connection.transaction()
    await transaction.start()
    return transaction.commit, transaction.rollback


@asynccontextmanager
async def _psycopg(dsn: str) -> AsyncIterator[Any]:
    import psycopg  # noqa: PLC0415 - only where it is installed

    connection = await psycopg.AsyncConnection.connect(dsn, autocommit=True)
    try:
        yield connection
    finally:
        await connection.close()


async def _begin_psycopg(connection: Any) -> tuple[Callable[[], Awaitable[None]], Callable[[], Awaitable[None]]]:
    await connection.execute("BEGIN")
    return connection.commit, connection.rollback


@asynccontextmanager
async def _sqlalchemy(dsn: str) -> AsyncIterator[Any]:
    from sqlalchemy.ext.asyncio import create_async_engine  # noqa: PLC0415 - only where it is installed
    from sqlalchemy.pool import NullPool  # noqa: PLC0415 - only where it is installed

    async def connect() -> Any:
        return await asyncpg.connect(dsn)

    engine = create_async_engine("postgresql+asyncpg://", async_creator=connect, poolclass=NullPool)
    try:
        async with engine.connect() as connection:
            yield connection
    finally:
        await engine.dispose()


async def _begin_sqlalchemy(connection: Any) -> tuple[Callable[[], Awaitable[None]], Callable[[], Awaitable[None]]]:
    transaction = await connection.begin()
    return transaction.commit, transaction.rollback


_CLIENTS: Mapping[str, _Client] = {
    "asyncpg": _Client(_asyncpg, _begin_asyncpg),
    "psycopg": _Client(_psycopg, _begin_psycopg),
    "sqlalchemy": _Client(_sqlalchemy, _begin_sqlalchemy),
}
