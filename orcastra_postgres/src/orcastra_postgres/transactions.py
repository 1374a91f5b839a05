"""Transactions in which a task writes, and is settled."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import asyncpg

from orcastra_core.interfaces.transaction import SettlingTransaction
from orcastra_core.model.delivery import Receipt
from orcastra_core.model.errors import BrokerClosed, BrokerError, OrcastraError, TransactionRolledBack
from orcastra_core.model.settlement import STALE, Done, Settled, Settlement
from orcastra_postgres.connect import Connection
from orcastra_postgres.core import Core
from orcastra_postgres.errors import CLIENT_ERRORS, translate
from orcastra_postgres.settle import Batch, Held
from orcastra_postgres.statements import query

if TYPE_CHECKING:
    from orcastra_postgres.session import PostgresSession


class PostgresTransaction(SettlingTransaction):
    """One delivery's transaction.

    Args:
        core: Whose.
        session: Which holds the delivery.
        receipt: The delivery's.
        held: What the session knows of it.
        conn: Lent by ``core.transactions``.
    """

    def __init__(self, core: Core, session: PostgresSession, receipt: Receipt, held: Held, conn: Connection) -> None:
        self.connection = conn
        self._core = core
        self._session = session
        self._receipt = receipt
        self._holding = {receipt: held}
        self._conn: Connection | None = conn
        self._sent: tuple[Batch, Any] | None = (
            None  # a settlement whose commit is under way, and what the store said of it
        )
        self._end: asyncio.Task[Any] | None = None
        self._over: Settled | OrcastraError | None = None

    async def settle(self, settlement: Settlement, /) -> Settled:
        if self._over is None:
            if self._session.ended:
                await self.abandon()
                raise BrokerClosed(f"session {self._session.id} has ended, and the transaction was rolled back")
            if self._end is None or self._end.done():
                self._end = self._core.transactions.end(self._settle(settlement) if self._sent is None else self._ask())
            answer: Settled = await asyncio.shield(self._end)
            return answer
        if isinstance(self._over, OrcastraError):
            raise self._over
        return self._over

    async def abandon(self) -> None:
        if self._end is not None and not self._end.done():
            await asyncio.wait([self._end])
        if self._over is None and self._sent is None:
            self._over = TransactionRolledBack("it was abandoned")
            await asyncio.shield(self._core.transactions.end(self._give_back()))

    async def _settle(self, settlement: Settlement) -> Settled:
        core, conn = self._core, self._conn
        assert conn is not None
        batch = Batch([settlement], self._holding, core.now())
        if not batch.sent:
            return await self._rolled_back(batch.answers(None)[0])
        if not conn.is_closed() and not conn.is_in_transaction():
            self._over = TransactionRolledBack("the task has ended the transaction itself: what it wrote is not undone")
            await self._give_back()
            raise self._over
        try:
            arguments = core.domain, self._session.number, *batch.arguments()
            async with core.transactions.in_time(conn):
                row = await conn.fetchrow(query("settle_within", core.settings.schema), *arguments)
            if row["said"] == "F":
                self._session.fence()
                return await self._rolled_back(STALE)
            (answer,) = batch.answers(row["said"])
            if not isinstance(answer, Done):
                self._session.let_go(self._receipt)
                return await self._rolled_back(answer)
            self._sent = batch, row
            async with core.transactions.in_time(conn):
                await conn.execute("COMMIT")
        except CLIENT_ERRORS as error:
            ours = translate(error, core.settings.where)
            if self._sent is not None and not _refused(error):
                await self._give_back()
                raise ours from error  # what became of it is asked by the next call
            self._sent = None
            self._over = TransactionRolledBack(str(ours), retryable=isinstance(ours, BrokerError) and ours.retryable)
            self._over.__cause__ = error
            await self._give_back()
            raise self._over from error
        await self._give_back()
        return self._committed()

    async def _ask(self) -> Settled:
        """Find out what became of a commit that got no answer."""
        core = self._core
        assert self._sent is not None
        _, row = self._sent
        status = (await core.call("outcome", row["xid"]))["outcome"]
        if status == "committed":
            return self._committed()
        if status == "in progress":
            raise BrokerError(f"{core.settings.where}: the commit is still under way", retryable=True)
        self._over = TransactionRolledBack("its connection was lost before the commit", retryable=True)
        raise self._over

    def _committed(self) -> Settled:
        assert self._sent is not None
        batch, row = self._sent
        answers = batch.answers(row["said"])
        self._over = answers[0]
        self._session.let_go(self._receipt)
        batch.tell(self._core, answers)
        if row["soon"]:
            self._core.tell_due()
        return answers[0]

    async def _rolled_back(self, answer: Settled) -> Settled:
        self._over = answer
        await self._give_back()
        return answer

    async def _give_back(self) -> None:
        conn, self._conn = self._conn, None
        if conn is not None:
            with suppress(*CLIENT_ERRORS):
                await self._core.transactions.give_back(conn)


def _refused(error: BaseException) -> bool:
    """Whether the server refused a commit; if it has only gone, nobody knows."""
    return isinstance(error, asyncpg.PostgresError) and getattr(error, "severity_en", None) == "ERROR"
