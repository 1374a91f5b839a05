"""The caller's own transactions: connections of asyncpg, psycopg 3 and SQLAlchemy."""

from __future__ import annotations

import sys
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

import asyncpg
import attrs

from orcastra_core.model.envelope import Envelope
from orcastra_core.model.errors import BrokerError, BrokerUnavailable, InvalidOption, OrcastraError, StoreFull
from orcastra_core.model.published import STORED, Published
from orcastra_postgres.core import Core
from orcastra_postgres.errors import CLIENT_ERRORS, translate
from orcastra_postgres.publish import Prepared, pack_events, prepare
from orcastra_postgres.statements import quoted

_PLAIN = ("int", "text[]", "smallint[]", "int[]", "uuid[]", "bytea[]", "float8[]", "bytea", "int[]")
"""What ``publish_plain`` takes."""
_RICH = (
    "int", "text[]", "smallint[]", "uuid[]", "bytea[]", "float8[]", "bytea[]", "smallint[]", "float8[]", "bytea[]", "text[]",
    "bytea", "int[]",
)  # fmt: skip
"""What ``publish`` takes."""

_KNOWN = "an asyncpg connection, a psycopg AsyncConnection, a SQLAlchemy AsyncConnection or AsyncSession"


class Joined(ABC):
    """A transaction of the caller's, to run a statement of ours in."""

    @abstractmethod
    async def row(self, select: str, types: Sequence[str], args: Sequence[Any]) -> Mapping[str, Any]:
        """Run ``select`` with a place ``{}`` for the arguments, and return its one row. Raises errors of the client library."""


@attrs.frozen
class _Asyncpg(Joined):
    connection: Any

    async def row(self, select: str, types: Sequence[str], args: Sequence[Any]) -> Mapping[str, Any]:
        found: Mapping[str, Any] = await self.connection.fetchrow(select.format(_numbered(types)), *args)
        return found


@attrs.frozen
class _Psycopg(Joined):
    connection: Any

    async def row(self, select: str, types: Sequence[str], args: Sequence[Any]) -> Mapping[str, Any]:
        from psycopg.rows import dict_row  # noqa: PLC0415 - the caller's library: here if they use it

        async with self.connection.cursor(row_factory=dict_row) as cursor:
            await cursor.execute(_formatted(select, types), args)
            found: Mapping[str, Any] = await cursor.fetchone()
            return found


@attrs.frozen
class _SqlAlchemy(Joined):
    connection: Any
    driver: str

    async def row(self, select: str, types: Sequence[str], args: Sequence[Any]) -> Mapping[str, Any]:
        text = select.format(_numbered(types)) if self.driver == "asyncpg" else _formatted(select, types)
        found: Mapping[str, Any] = (await self.connection.exec_driver_sql(text, tuple(args))).mappings().one()
        return found


async def join(transaction: object) -> Joined:
    """Return the caller's transaction. Raises InvalidOption if it is none that we know, or none is open."""
    if isinstance(transaction, asyncpg.Connection | asyncpg.pool.PoolConnectionProxy):
        connection: Any = transaction
        if connection.is_closed() or not connection.is_in_transaction():
            raise InvalidOption(
                "no transaction is open on this asyncpg connection: use `async with connection.transaction()`"
            )
        return _Asyncpg(connection)
    psycopg = sys.modules.get("psycopg")
    if psycopg is not None and isinstance(transaction, psycopg.AsyncConnection):
        return _psycopg(transaction, psycopg)
    sqlalchemy = sys.modules.get("sqlalchemy.ext.asyncio")
    if sqlalchemy is not None and isinstance(transaction, sqlalchemy.AsyncSession | sqlalchemy.AsyncConnection):
        return await _sqlalchemy(transaction, sqlalchemy)
    raise InvalidOption(f"a {type(transaction).__name__} is no transaction that can be joined; give {_KNOWN}")


def said(error: Exception, where: str) -> OrcastraError:
    """Return our error for one of any of these libraries."""
    if isinstance(error, OrcastraError):
        return error
    cause: Any = getattr(error, "orig", None) or error  # SQLAlchemy wraps its driver's
    cause = getattr(cause, "__cause__", None) or cause  # and asyncpg's once more
    if isinstance(cause, CLIENT_ERRORS):
        return translate(cause, where)
    state = str(getattr(cause, "sqlstate", None) or "")
    text = f"{where}: {error}"
    if state in ("40001", "40P01"):
        return BrokerError(text, retryable=True)
    if state[:2] in ("08", "57") or not state:
        return BrokerUnavailable(text)
    return StoreFull(text) if state[:2] == "53" else BrokerError(text)


def _psycopg(connection: Any, psycopg: Any) -> Joined:
    status = psycopg.pq.TransactionStatus
    begins = not connection.autocommit  # with its first statement, which may be ours
    if connection.closed or (connection.info.transaction_status is status.IDLE and not begins):
        raise InvalidOption(
            "no transaction is open on this psycopg connection: use `async with connection.transaction()`"
        )
    return _Psycopg(connection)


async def _sqlalchemy(transaction: Any, sqlalchemy: Any) -> Joined:
    if not transaction.in_transaction():
        raise InvalidOption("no transaction is open on this SQLAlchemy connection: use `async with engine.begin()`")
    connection = await transaction.connection() if isinstance(transaction, sqlalchemy.AsyncSession) else transaction
    driver = connection.dialect.driver
    if connection.dialect.name != "postgresql" or driver not in ("asyncpg", "psycopg", "psycopg_async"):
        raise InvalidOption(f"a connection to {connection.dialect.name} by {driver} cannot be joined; give {_KNOWN}")
    return _SqlAlchemy(connection, driver)


def _numbered(types: Sequence[str]) -> str:
    return ", ".join(f"${n}::{kind}" for n, kind in enumerate(types, 1))


def _formatted(select: str, types: Sequence[str]) -> str:
    return select.replace("%", "%%").format(", ".join(f"%s::{kind}" for kind in types))


async def publish_within(
    core: Core, transaction: object, batch: Sequence[Envelope], events: Sequence[bytes]
) -> Sequence[Published]:
    """Store envelopes in the caller's transaction: what ``Broker.publish_within`` says.

    Whoever waits is told by the same commit, for nobody tells us of it.
    """
    joined = await join(transaction)
    prepared = prepare(batch, core.now())
    if not prepared.sent:
        return prepared.read([])
    await _make_lanes(core, prepared)
    records = pack_events(events, prepared.answers)
    try:
        if prepared.rich:
            row = await _call(joined, core, "publish", _RICH, core.domain, *prepared.arguments(), *records)
            answers = prepared.read(row["codes"])
        else:
            row = await _call(joined, core, "publish_plain", _PLAIN, core.domain, *prepared.plain_arguments(), *records)
            answers = prepared.read_plain(row["stored"])
        queues = dict.fromkeys(one.queue for one, answer in zip(batch, answers, strict=True) if answer is STORED)
        lines = [f"q{queue}" for queue in queues] + ["d"] * row["soon"]
        if lines:
            await joined.row("SELECT pg_notify({})", ("text", "text"), [core.channel(), "\n".join(lines)])
    except Exception as error:
        raise said(error, core.settings.where) from error
    return answers


async def _call(joined: Joined, core: Core, function: str, types: Sequence[str], *args: Any) -> Mapping[str, Any]:
    return await joined.row(f"SELECT * FROM {quoted(core.settings.schema)}.{function}({{}})", types, args)


async def _make_lanes(core: Core, prepared: Prepared) -> None:
    """Make lanes that are new in a transaction of our own: whoever else publishes there would wait for the caller's."""
    new = [lane for lane in prepared.lanes if lane not in core.lanes]
    if new:
        (row,) = await core.ask("make_lanes", core.domain, [queue for queue, _ in new], [level for _, level in new])
        core.lanes.update(zip(new, row[0], strict=True))
