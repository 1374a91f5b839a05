"""Faults that come to light when a server is gone for a while: on the served broker."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from orcastra_core.backends.memory.broker import MemoryBroker
from power.saboteur import saboteur
from power.saboteurs.network import brisk
from power.served.domain import Domain
from power.served.harness import Harness
from power.served.server import Connection, Server
from power.served.session import ServedSession
from power.served.talk import Line, _Connection


def for_ever(patch: pytest.MonkeyPatch) -> None:
    """Have clients wait for a connection, and for an answer, as long as it takes."""
    init = Line.__init__

    def patient(self: Line, *args: Any) -> None:
        init(self, *args)
        self._timeout = 3600.0

    patch.setattr(Line, "__init__", patient)


@saboteur(
    "waits-for-ever",
    "puts no deadline on any answer: TCP alone notices a dead connection after hours",
    killed_by=("fault.half-open", "life.unreachable", "fault.close-while-unreachable"),
)
def _(patch: pytest.MonkeyPatch) -> Harness:
    for_ever(patch)
    return brisk()


@saboteur(
    "connects-once",
    "keeps a connection that was lost, and never makes another",
    killed_by=("fault.half-open", "fault.half-close", "fault.server-restart", "fault.feed-recovers"),
)
def _(patch: pytest.MonkeyPatch) -> Harness:
    connected = Line._connected

    async def once(self: Line) -> _Connection:
        return self._connection or await connected(self)

    patch.setattr(Line, "_connected", once)
    return brisk()


@saboteur(
    "forgets-with-the-server",
    "keeps sessions and tasks in the server's memory, though it says they survive it",
    killed_by=("fault.server-restart", "fault.restart-reaps-nobody"),
)
def _(patch: pytest.MonkeyPatch) -> Harness:
    restart = Server._restart

    async def forget(self: Server) -> None:
        for domain in self._domains.values():
            await domain.wreck()
        await restart(self)

    patch.setattr(Server, "_restart", forget)
    return brisk()


@saboteur(
    "sessions-end-with-connections",
    "ends sessions whose connection is lost, though it says they are stable",
    killed_by=("con.lost-reply", "fault.server-restart", "ses.outage"),
)
def _(patch: pytest.MonkeyPatch) -> Harness:
    lost = Connection.connection_lost

    def lose(self: Connection, exc: Exception | None) -> None:
        lost(self, exc)
        if self.domain is not None:
            asyncio.get_running_loop().create_task(_end_all(self.domain))

    patch.setattr(Connection, "connection_lost", lose)
    return brisk()


async def _end_all(domain: Domain) -> None:
    for session in list(domain.store.sessions):
        await domain._anchor.expire(session)


@saboteur(
    "judges-what-it-did-not-see",
    "counts the time that its connection was gone, or the server stood still, as contact",
    killed_by=("ses.outage", "ses.paused-server", "fault.restart-reaps-nobody"),
)
def _(patch: pytest.MonkeyPatch) -> Harness:
    async def client(self: Connection, domain: Domain) -> MemoryBroker:
        return domain._anchor

    patch.setattr(Connection, "_client", client)
    return brisk()


@saboteur(
    "beats-end-with-an-outage",
    "stops beating for good at the first beat that fails",
    killed_by=("ses.outage",),
)
def _(patch: pytest.MonkeyPatch) -> Harness:
    beat = ServedSession._beat

    async def once(self: ServedSession) -> bool:
        try:
            return await beat(self)
        except Exception:  # noqa: BLE001 - whatever it is
            return False

    patch.setattr(ServedSession, "_beat", once)
    return brisk()


@saboteur(
    "waits-on-what-is-gone",
    "lets a fetch wait on for a queue that was removed and made anew",
    killed_by=("fault.structures-deleted",),
)
def _(patch: pytest.MonkeyPatch) -> Harness:
    kept: list[MemoryBroker] = []

    async def wreck(self: Domain) -> None:
        kept.append(self._anchor)  # so that whoever waits waits on
        self._open()
        await self._anchor.open()

    patch.setattr(Domain, "wreck", wreck)
    return brisk()


@saboteur(
    "cannot-do-without-its-keys",
    "answers with a KeyError of its own where the store's structures are gone",
    killed_by=("fault.structures-deleted",),
)
def _(patch: pytest.MonkeyPatch) -> Harness:
    def seat(self: Domain, session: Any) -> Any:
        return self._seats[session]

    patch.setattr(Domain, "seat", seat)
    return brisk()
