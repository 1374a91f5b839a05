"""The SQLite broker's harness: files in a directory of its own, time in earnest."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import tempfile
from collections import Counter
from collections.abc import Mapping
from contextlib import closing, suppress
from typing import ClassVar
from urllib.parse import quote

from orcastra_conformance import Address, BrokerHarness, ServerFacts
from orcastra_core.backends.sqlite.broker import SqliteBroker
from orcastra_core.backends.sqlite.rows import FINISHED
from orcastra_core.backends.sqlite.session import SqliteSession
from orcastra_core.backends.sqlite.settings import Settings
from orcastra_core.interfaces.broker import Broker
from orcastra_core.interfaces.session import Session
from orcastra_core.model.broker_url import BrokerUrl
from orcastra_core.model.envelope import Unreadable
from orcastra_core.model.errors import InvalidOption


class Harness(BrokerHarness):
    """Brokers of one path, each domain in a file beside it.

    Args:
        mode: ``synchronous`` as the URL parameter takes it.
    """

    name = "sqlite"
    modes: ClassVar[tuple[str, ...]] = ("full", "normal")
    lease = 0.5

    def __init__(self, mode: str = "full") -> None:
        self.mode = mode
        self._directory: tempfile.TemporaryDirectory[str] | None = None
        self._beside: str | None = None

    def use(self, url: str) -> None:
        """Prove the file system where this file would be; the files themselves are the harness's own."""
        parsed = BrokerUrl.parse(url)
        if parsed.scheme != "sqlite":
            raise InvalidOption(f"{parsed}: the harness {self.name!r} proves sqlite:///path")
        if parsed.params:
            raise InvalidOption(f"{parsed}: a URL to prove has no parameters; the mode says what is synchronous")
        self._beside = os.path.dirname(Settings.of(parsed).path)

    async def start(self) -> ServerFacts:
        self._directory = tempfile.TemporaryDirectory(prefix="orcastra-sqlite-", dir=self._beside)
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

    async def wreck(self, domain: str) -> None:
        path = Settings.of(BrokerUrl.parse(self.url(domain))).path
        for name in (path, f"{path}-wal", f"{path}-shm"):
            with suppress(FileNotFoundError):
                os.unlink(name)

    async def census(self, domain: str) -> Mapping[str, int]:
        path = Settings.of(BrokerUrl.parse(self.url(domain))).path
        return await asyncio.to_thread(_count, path)


def _count(path: str) -> dict[str, int]:
    """Count rows by table, tasks by what is left of them, and the files beside the database by kind."""
    counts: Counter[str] = Counter()
    with closing(sqlite3.connect(path)) as conn:
        tables = [name for (name,) in conn.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        for table in tables:
            (counts[table],) = conn.execute(f"SELECT count(*) FROM {table}").fetchone()  # noqa: S608 - our own names
        (counts["remembered"],) = conn.execute(
            "SELECT count(*) FROM task WHERE state = ? AND result IS NULL", (FINISHED,)
        ).fetchone()
    counts["task"] -= counts["remembered"]
    counts.update(name.rpartition(".")[2] + " files" for name in os.listdir(f"{path}-sessions"))
    return counts
