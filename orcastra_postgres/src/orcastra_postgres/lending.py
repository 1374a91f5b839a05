"""Connections for transactions that tasks write in."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any

from orcastra_core.model.errors import BrokerClosed
from orcastra_postgres.connect import Connection, connect
from orcastra_postgres.errors import CLIENT_ERRORS, translate
from orcastra_postgres.settings import Settings

_OVER = 5.0
"""Seconds within which a connection that is given back must be as good as new."""


class Transactions:
    """Connections for transactions: a few, lent one after another."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._free = asyncio.Semaphore(settings.transactions)
        self._idle: list[Connection] = []
        self._lent: set[Connection] = set()
        self._ends: set[asyncio.Task[Any]] = set()
        self._closed = False

    async def lend(self) -> Connection:
        """Return a connection with a transaction begun on it; waits in turn where all are lent. Raises errors of ours."""
        await self._free.acquire()
        try:
            return await self._begun()
        except CLIENT_ERRORS as error:
            self._free.release()
            raise translate(error, self._settings.where) from error
        except BaseException:
            self._free.release()
            raise

    async def give_back(self, conn: Connection) -> None:
        """Take a connection back; what is still open on it is rolled back. Raises nothing."""
        try:
            async with asyncio.timeout(_OVER):
                if not conn.is_closed() and conn.is_in_transaction():
                    await conn.execute("ROLLBACK")
                await conn.reset()  # what a task may have left: settings, locks, cursors
        except CLIENT_ERRORS:
            conn.terminate()
        except BaseException:
            conn.terminate()
            raise
        finally:
            self._lent.discard(conn)
            if self._closed or conn.is_closed():
                conn.terminate()
            else:
                self._idle.append(conn)
            self._free.release()

    @asynccontextmanager
    async def in_time(self, conn: Connection) -> AsyncIterator[None]:
        """Bound what is done in the context: a connection without an answer within the timeout is ended. Raises TimeoutError."""
        expired = False

        def expire() -> None:
            nonlocal expired
            expired = True
            conn.terminate()  # and not cancelled: that would make the client library ask the server for it, in a task of its own

        timer = asyncio.get_running_loop().call_later(self._settings.timeout, expire)
        try:
            yield
        except CLIENT_ERRORS as error:
            if expired:
                raise TimeoutError(f"no answer within {self._settings.timeout:g} s") from error
            raise
        finally:
            timer.cancel()

    def end(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """Run what ends a transaction; it goes on without its caller, and is over when ``close`` returns."""
        task = asyncio.get_running_loop().create_task(work, name="orcastra-postgres-commit")
        self._ends.add(task)
        task.add_done_callback(self._ended)
        return task

    async def close(self) -> None:
        """End all connections; the server rolls back."""
        self._closed = True
        for conn in [*self._idle, *self._lent]:
            conn.terminate()
        self._idle.clear()
        self._free.release()  # who waits for a connection is told one after another that there will be none
        if self._ends:
            await asyncio.wait(list(self._ends))

    async def _begun(self) -> Connection:
        while True:
            self._check()
            fresh = not self._idle
            if fresh:
                conn = await connect(self._settings, name=f"{self._settings.application_name}-task")
            else:
                conn = self._idle.pop()
            self._lent.add(conn)
            try:
                self._check()
                async with self.in_time(conn):
                    await conn.execute("BEGIN")
            except BaseException as error:
                self._lent.discard(conn)
                conn.terminate()
                if fresh or not isinstance(error, CLIENT_ERRORS):
                    raise
                continue  # the server had ended it while it was idle, or is not heard by it any more
            return conn

    def _check(self) -> None:
        if self._closed:
            raise BrokerClosed(f"{self._settings.where}: the broker was closed")

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._ends.discard(task)
        if not task.cancelled():
            task.exception()  # heard, also where nobody waits for it any more
