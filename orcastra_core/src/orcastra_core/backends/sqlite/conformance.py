"""The SQLite broker's harness: files in a directory of its own, time in earnest."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import tempfile
from urllib.parse import quote

from orcastra_conformance import Address, BrokerHarness, ServerFacts
from orcastra_core.backends.sqlite.broker import SqliteBroker
from orcastra_core.backends.sqlite.session import SqliteSession
from orcastra_core.interfaces.broker import Broker
from orcastra_core.interfaces.session import Session
from orcastra_core.model.envelope import Unreadable


class Harness(BrokerHarness):
    """Brokers of one path, each domain in a file beside it.

    Args:
        mode: ``synchronous`` as the URL parameter takes it.
    """

    name = "sqlite"
    lease = 0.5

    def __init__(self, mode: str = "full") -> None:
        self.mode = mode
        self._directory: tempfile.TemporaryDirectory[str] | None = None

    async def start(self) -> ServerFacts:
        self._directory = tempfile.TemporaryDirectory(prefix="orcastra-sqlite-")
        return ServerFacts(f"SQLite {sqlite3.sqlite_version}", "sqlite:///conformance.db", embedded=True)

    def url(self, domain: str, *, at: Address | None = None) -> str:
        assert self._directory is not None
        path = os.path.join(self._directory.name, "conformance.db")
        return f"sqlite:///{path}?synchronous={self.mode}&domain={quote(domain)}"

    async def stop(self) -> None:
        if self._directory is not None:
            await asyncio.to_thread(self._directory.cleanup)

    async def silence(self, session: Session) -> None:
        if isinstance(session, SqliteSession):
            session.suspend()

    async def revive(self, session: Session) -> None:
        if isinstance(session, SqliteSession):
            session.resume()

    async def plant(self, broker: Broker, unreadable: Unreadable) -> None:
        if isinstance(broker, SqliteBroker):
            await broker.plant(unreadable)
