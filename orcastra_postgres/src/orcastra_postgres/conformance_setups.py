"""The ways in which the harness sets PostgreSQL up: by itself, or behind a PgBouncer."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from urllib.parse import quote

from orcastra_postgres.conformance_front import DIRECT
from orcastra_postgres.conformance_ground import Ground
from orcastra_postgres.conformance_pgbouncer import Bouncer, Fork
from orcastra_postgres.conformance_servers import Process, Server

PATIENCE: Mapping[str, str] = {"timeout": "2", "connect_timeout": "2"}
"""Shorter than for users: cases wait for them."""
OFTEN = "0.1"
"""Seconds between looks where nothing is pushed; shorter than for users, as above."""

MODES: Mapping[str, Mapping[str, str]] = {
    "default": {},
    "sync-off": {"synchronous_commit": "off"},
    "poll-only": {"listen": "0", "poll": OFTEN},
    "pgbouncer": {"pooler": "1", "poll": OFTEN},
    "pgbouncer-listen": {"pooler": "1"},
}
"""What each mode adds to a URL."""


class Setup:
    """A server that runs, private to us, and in some modes a PgBouncer before it.

    Args:
        ground: Where they live.
        mode: One of ``MODES``.
    """

    def __init__(self, ground: Ground, mode: str) -> None:
        self._ground = ground
        self._mode = mode
        self.server: Server
        self._bouncer: Bouncer | None = None
        self._fork: Fork | None = None

    async def start(self) -> None:
        """Start them, and return when they are ready."""
        self.server = await Server.fresh(self._ground)
        if self._mode.startswith("pgbouncer"):
            self._bouncer = Bouncer(self._ground, self.server)
            await self._bouncer.start()
        if self._bouncer is not None and self._mode == "pgbouncer-listen":
            await self.server.ask(f"CREATE ROLE {DIRECT} SUPERUSER LOGIN")
            self._fork = Fork(self._ground, self._bouncer, self.server)
            await self._fork.start()

    @property
    def address(self) -> tuple[str, int]:
        """Where clients connect."""
        return self._front.address

    def url(self, domain: str, at: tuple[str, int] | None = None) -> str:
        """Return a domain's URL; with ``at``, one that leads there instead."""
        host, port = at or self.address
        pairs = {**PATIENCE, **MODES[self._mode], "domain": domain}
        if self._fork is not None:  # by the same way, or a proxy before it would cut off one of the two only
            pairs["listen_dsn"] = f"postgresql://{DIRECT}@{host}:{port}/postgres"
        query = "&".join(f"{name}={quote(text, safe='')}" for name, text in pairs.items())
        return f"postgresql://postgres@{host}:{port}/postgres?{query}"

    async def restart(self) -> None:
        """Kill the server, and return when it can be used again. A PgBouncer lives on."""
        await self.server.restart()
        if self._bouncer is not None:
            await self._bouncer.ready()  # the one that needs a moment to notice

    @asynccontextmanager
    async def paused(self) -> AsyncIterator[None]:
        """Have the server stand still."""
        async with self.server.paused():
            yield

    @property
    def _front(self) -> Process:
        return self._fork or self._bouncer or self.server
