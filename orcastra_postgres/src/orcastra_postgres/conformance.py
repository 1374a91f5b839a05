"""The Postgres broker's harness: a private server, or one that a URL names; time in earnest."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, ClassVar
from urllib.parse import quote

import asyncpg

from orcastra_conformance import Address, BrokerHarness, Rows, ServerFacts, Unproven
from orcastra_conformance.engine.harness import REMEMBERED
from orcastra_core.interfaces.broker import Broker
from orcastra_core.interfaces.session import Session
from orcastra_core.model.broker_url import BrokerUrl
from orcastra_core.model.envelope import Unreadable
from orcastra_core.model.errors import BrokerError, InvalidOption
from orcastra_postgres import upkeep
from orcastra_postgres.broker import PostgresBroker
from orcastra_postgres.conformance_ground import SERVER, Ground, program
from orcastra_postgres.conformance_rows import Table
from orcastra_postgres.conformance_setups import MODES, Setup
from orcastra_postgres.session import PostgresSession
from orcastra_postgres.settings import Settings

SERVER_VARIABLE = "ORCASTRA_TEST_POSTGRES_URL"

_PATIENCE = 10.0
"""Seconds a server that was just restarted may take to answer."""
_BOUNDED = {"statement_timeout": "10s"}
"""Of the harness's own connections: where somebody's transaction stays open, say so and do not wait for ever."""


class Harness(BrokerHarness):
    """Brokers of one PostgreSQL database and one schema in it.

    It starts a PostgreSQL of its own, by the program that ORCASTRA_POSTGRES_SERVER names or that is on this machine. Where
    there is none it uses the server at ORCASTRA_TEST_POSTGRES_URL, which it can neither restart nor stop.

    Args:
        mode: How it is set up, and what the URLs say: ``default`` (every commit flushed, LISTEN), ``sync-off``
            (synchronous_commit off), ``poll-only`` (no LISTEN), ``pgbouncer`` (transaction pooling, nothing pushed),
            ``pgbouncer-listen`` (the same, and a direct connection to listen by).
    """

    name = "postgres"
    modes: ClassVar[tuple[str, ...]] = tuple(MODES)
    lease = 0.5
    patience = 4.0  # a server is several processes, and runs beside others

    def __init__(self, mode: str = "default") -> None:
        self.mode = mode
        self._url = ""
        self._ground: Ground | None = None
        self._setup: Setup | None = None

    def use(self, url: str) -> None:
        parsed = BrokerUrl.parse(url)
        Settings.of(parsed)
        if self.mode.startswith("pgbouncer"):
            raise InvalidOption(f"{parsed}: the mode {self.mode!r} has a pgbouncer of its own; give it no URL")
        more = "&".join(f"{name}={value}" for name, value in MODES[self.mode].items() if name not in parsed.params)
        self._url = _with(url, more) if more else url

    async def start(self) -> ServerFacts:
        if not self._url and program() is None and SERVER_VARIABLE in os.environ:
            self.use(os.environ[SERVER_VARIABLE])
        if not self._url:
            self._ground = Ground()
            self._setup = Setup(self._ground, self.mode)
            await self._setup.start()
        url = self.url("start")
        broker = PostgresBroker(BrokerUrl.parse(url))
        profile = await broker.open()
        await broker.close()
        await self.wipe("start")
        return ServerFacts(profile.server, str(BrokerUrl.parse(self._url or url.partition("?")[0])))

    def url(self, domain: str, *, at: Address | None = None) -> str:
        if self._setup is not None:
            return self._setup.url(domain, at)
        url = self._url
        if at is not None:
            url = url.replace(BrokerUrl.parse(url).hosts[0], f"{at[0]}:{at[1]}", 1)
        return _with(url, f"domain={quote(domain)}")

    async def wipe(self, domain: str) -> None:
        async with self._connection() as connection:
            try:
                await upkeep.wipe(connection, self._schema, domain)
            except asyncpg.UndefinedTableError:  # it was wrecked
                return

    async def stop(self) -> None:
        if self._ground is not None:
            self._ground.close()

    async def silence(self, session: Session) -> None:
        if isinstance(session, PostgresSession):
            await asyncio.to_thread(session.suspend)

    async def revive(self, session: Session) -> None:
        if isinstance(session, PostgresSession):
            before = session._beat.beats
            session.resume()
            async with asyncio.timeout(_PATIENCE):
                while (
                    session._beat.beats == before
                ):  # its own connection may be gone: keep it alive until it has another
                    try:
                        (alive,) = await session._core.call("beat", session.number, session.id, None)
                        if not alive:
                            return
                    except BrokerError:  # it was just restarted: a connection that is over, or none yet
                        pass
                    await self.clock.sleep(0.01)

    async def plant(self, broker: Broker, unreadable: Unreadable) -> None:
        if isinstance(broker, PostgresBroker):
            await broker.plant(unreadable)

    async def census(self, domain: str) -> Mapping[str, int]:
        async with self._connection() as connection:
            counts = dict(await upkeep.census(connection, self._schema, domain))
        counts[REMEMBERED] = counts.pop("remembered", 0)
        return counts

    async def wreck(self, domain: str) -> None:
        """Drop the schema where it is ours alone; elsewhere remove what the domain has in it."""
        async with self._connection() as connection:
            if self._setup is None:
                await upkeep.wipe(connection, self._schema, domain)
            else:
                await _dropped(connection, self._schema)

    def rows(self, domain: str) -> AbstractAsyncContextManager[Rows]:
        direct = (
            self._setup.server.url() if self._setup is not None else Settings.of(BrokerUrl.parse(self.url("any"))).dsn
        )
        return _Rows.made(direct, domain)

    async def restart_server(self) -> None:
        await self._private("restart").restart()

    def pause_server(self) -> AbstractAsyncContextManager[None]:
        return self._private("stop").paused()

    def address(self) -> Address:
        return self._setup.address if self._setup is not None else super().address()

    @property
    def _schema(self) -> str:
        return Settings.of(BrokerUrl.parse(self.url("any"))).schema

    def _private(self, what: str) -> Setup:
        if self._setup is None:
            raise Unproven(
                f"the harness does not {what} a server that it has not started; give it no URL, and a PostgreSQL:"
                f" on this machine, or where {SERVER} says"
            )
        return self._setup

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[Any]:
        """A connection of the harness's own, to the server itself."""
        if self._setup is not None:
            connection = await self._setup.server.client(server_settings=_BOUNDED)
        else:
            connection = await asyncpg.connect(
                Settings.of(BrokerUrl.parse(self.url("any"))).dsn, server_settings=_BOUNDED
            )
        try:
            yield connection
        finally:
            await connection.close()


class _Rows(Table, Rows):
    """A table of one domain's rows."""


async def _dropped(connection: Any, schema: str) -> None:
    """Drop a schema in which others are at work: it locks table after table, and they have some of them already."""
    while True:
        try:
            await connection.execute(f'DROP SCHEMA "{schema}" CASCADE')
            return
        except asyncpg.DeadlockDetectedError:
            continue  # all of it was undone


def _with(url: str, more: str) -> str:
    return f"{url}{'&' if '?' in url else '?'}{more}"
