"""The harness: a server in this process, which any process may reach."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from urllib.parse import quote

from orcastra_conformance import Address, BrokerHarness, ServerFacts
from orcastra_core.interfaces.broker import Broker
from orcastra_core.interfaces.session import Session
from orcastra_core.model.broker_url import BrokerUrl
from orcastra_core.model.envelope import Unreadable
from orcastra_core.model.names import DomainName
from power.served.broker import ServedBroker
from power.served.server import Server
from power.served.session import ServedSession


class Harness(BrokerHarness):
    """Time in earnest, every power there is.

    Args:
        timeout: As the URL parameter takes it.
    """

    name = "served"
    lease = 0.5

    def __init__(self, timeout: float = 1.0) -> None:
        self._timeout = timeout
        self._server = Server()

    async def start(self) -> ServerFacts:
        self._server.start()
        return ServerFacts("the reference broker behind a socket", "served://127.0.0.1")

    async def stop(self) -> None:
        self._server.stop()

    def address(self) -> Address:
        return self._server.address

    def url(self, domain: str, *, at: Address | None = None) -> str:
        host, port = at or self._server.address
        return f"served://{host}:{port}?timeout={self._timeout:g}&domain={quote(domain)}"

    @staticmethod
    def dial(url: str) -> Broker:
        return ServedBroker(BrokerUrl.parse(url))

    async def wipe(self, domain: str) -> None:
        await self._server.forget(DomainName(domain))

    async def silence(self, session: Session) -> None:
        if isinstance(session, ServedSession):
            session.suspend()

    async def revive(self, session: Session) -> None:
        if isinstance(session, ServedSession):
            await session.resume()

    async def plant(self, broker: Broker, unreadable: Unreadable) -> None:
        if isinstance(broker, ServedBroker):
            await broker.plant(unreadable)

    async def census(self, domain: str) -> Mapping[str, int]:
        return await self._server.census(DomainName(domain))

    async def wreck(self, domain: str) -> None:
        await self._server.wreck(DomainName(domain))

    async def restart_server(self) -> None:
        await self._server.restart()

    def pause_server(self) -> AbstractAsyncContextManager[None]:
        return self._server.standing_still()
