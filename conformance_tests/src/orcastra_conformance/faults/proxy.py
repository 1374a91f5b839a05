"""A proxy before a server, at which connections break in every way they do.

Nothing is left to time: a fault begins by hand, or at a chunk that a trap waits for.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager

from orcastra_conformance.engine.harness import Address
from orcastra_conformance.engine.steps import turns
from orcastra_conformance.engine.trial import Trial
from orcastra_conformance.faults.link import Link
from orcastra_conformance.faults.valve import Flow, Passed, Trap, Valve, Way
from orcastra_core.interfaces.broker import Broker


class Proxy:
    """Stands before a server and hands on what passes. Works in the event loop that ``before`` was entered in.

    Attributes:
        address: Where clients connect instead.
    """

    def __init__(self, server: Address, listener: socket.socket) -> None:
        self.address: Address = listener.getsockname()[:2]
        self._server = server
        self._listener = listener
        self._valve = Valve()
        self._links: set[Link] = set()
        self._refusing = False

    @property
    def connections(self) -> int:
        """How many are open."""
        return len(self._links)

    @property
    def passed(self) -> Mapping[Way, Passed]:
        """What went through so far, by way."""
        return self._valve.passed

    def cut(self) -> None:
        """Reset every connection, now. New ones go through."""
        for link in self._links:
            link.cut()

    def refuse(self) -> None:
        """Reset every connection, and each new one at once, as if nobody listened."""
        self._refusing = True
        self.cut()

    def swallow(self, *ways: Way) -> None:
        """Take what comes, by default both ways, and hand nothing on: a black hole. Connections stay open, and can be made."""
        self._valve.turn(Flow.SWALLOW, *ways)

    def hold(self, *ways: Way) -> None:
        """Keep back what comes, by default both ways, until ``heal``: delay. Nothing is lost, and little is read ahead."""
        self._valve.turn(Flow.HOLD, *ways)

    def strand(self) -> None:
        """Reset the clients' ends and keep the servers': what clients have sent and is held comes late, by ``land``."""
        for link in self._links:
            if (link, Way.UP) in self._valve.held:
                link.strand()
            else:
                link.cut()
        self._valve.turn(Flow.PASS)

    async def land(self) -> None:
        """Deliver what was stranded, and return when the server is done with those connections."""
        stranded = [link for link in self._links if link.stranded]
        for link in stranded:
            link.land()
        while not self._links.isdisjoint(stranded):
            await turns(1)

    def half_close(self, way: Way) -> None:
        """On every connection, tell the receiving end that nothing more comes this way. The other way stays open."""
        for link in self._links:
            link.half_close(way)

    def heal(self) -> None:
        """Let everything through again. What was held goes on; connections that lost bytes are reset."""
        self._refusing = False
        self._valve.trap = None
        self._valve.turn(Flow.PASS)
        for link in self._links:
            if link.gap:
                link.cut()

    def trap(
        self,
        patterns: bytes | tuple[bytes, ...],
        way: Way,
        *,
        at: int = 0,
        part: float = 0.0,
        then: Callable[[], None] | None = None,
        first: bool = False,
    ) -> Trap:
        """Wait for a certain chunk; see ``Trap``. By default everything is cut there. Replaces the trap before."""
        named = (patterns,) if isinstance(patterns, bytes) else patterns
        self._valve.trap = trap = Trap(named, way, at, part, then or self.cut, first)
        return trap

    async def accept(self, links: asyncio.TaskGroup) -> None:
        """Take connections in, for ever."""
        loop = asyncio.get_running_loop()
        while True:
            client, _ = await loop.sock_accept(self._listener)
            link = Link(client, self._valve)
            self._links.add(link)
            link.begin(links.create_task(self._serve(link)), self._links.discard)

    async def _serve(self, link: Link) -> None:
        if self._refusing:
            link.cut()
        elif self._valve.flow[Way.UP] is Flow.SWALLOW:
            link.gap = True
        else:
            await link.lead_to(self._server)
        await link.run()


@asynccontextmanager
async def before(server: Address) -> AsyncIterator[Proxy]:
    """Put a proxy before a server, on a free port of the loopback. Leaving ends every connection of it."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)
        proxy = Proxy(server, listener)
        async with asyncio.TaskGroup() as links:
            accepting = links.create_task(proxy.accept(links))
            try:
                yield proxy
            finally:
                accepting.cancel()
                proxy.cut()


async def proxied(trial: Trial) -> tuple[Broker, Proxy]:
    """Return one more client of the case's domain, opened, and the proxy that stands before its server.

    Raises:
        NotApplicable: The store is embedded: no connection leads to it.
        Unproven: The harness cannot lead a client to the proxy.
    """
    proxy = await trial.mishap.enter_async_context(before(trial.harness.address()))
    broker = trial.harness.dial(trial.harness.url(trial.domain, at=proxy.address))
    return await trial.adopt(broker), proxy
