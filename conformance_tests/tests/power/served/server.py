"""The server: a thread with an event loop, which listens, restarts and stands still on demand."""

from __future__ import annotations

import asyncio
import itertools
import threading
from collections.abc import AsyncIterator, Coroutine, Mapping
from contextlib import asynccontextmanager
from time import monotonic
from typing import Any, TypeVar

from orcastra_conformance import Address
from orcastra_conformance.engine.steps import turns
from orcastra_core.backends.memory.broker import MemoryBroker
from orcastra_core.model.names import DomainName
from power.served.domain import Domain
from power.served.frames import Frames

T = TypeVar("T")

CONTACT = 0.3
"""Seconds of a client's silence that break its contact: from then on it has to watch for a lease before it may judge."""

_servers = itertools.count(1)


class Connection(Frames):
    """A client's connection, and with it his contact."""

    def __init__(self, server: Server) -> None:
        super().__init__()
        self.domain: Domain | None = None
        self._server = server
        self._broker: MemoryBroker | None = None
        self._heard = monotonic()
        self._running: dict[int, asyncio.Task[None]] = {}

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._server.connections.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._server.connections.discard(self)
        for task in self._running.values():
            task.cancel()

    def received(self, value: Any) -> None:
        number, operation, args, kwargs = value
        silent, self._heard = monotonic() - self._heard, monotonic()
        if silent > CONTACT:
            self._broker = None
        if operation == "ping":
            self.send((number, True, None))
        elif operation == "give up":
            if number in self._running:
                self._running[number].cancel()
        else:
            task = asyncio.get_running_loop().create_task(self._answer(number, operation, args, kwargs))
            self._running[number] = task
            task.add_done_callback(lambda _: self._running.pop(number, None))

    async def _answer(self, number: int, operation: str, args: Any, kwargs: Any) -> None:
        try:
            answer = await self._do(operation, args, kwargs)
        except Exception as error:  # noqa: BLE001 - the client raises it
            self.send((number, False, error))
        else:
            self.send((number, True, answer))

    async def _do(self, operation: str, args: Any, kwargs: Any) -> Any:
        if operation == "hello":
            self.domain = self._server.domain(*args)
            return await self.domain.profile()
        assert self.domain is not None
        target, _, method = operation.partition(".")
        if target == "domain":
            return await getattr(self.domain, method)(*args, **kwargs)
        if target == "session":
            return await getattr(self.domain.seat(args[0]), method)(*args[1:], **kwargs)
        if target == "feed":
            return await self.domain.feed(args[0])(*args[1:], **kwargs)
        broker = await self._client(self.domain)
        return await getattr(broker if target == "broker" else getattr(broker, target), method)(*args, **kwargs)

    async def _client(self, domain: Domain) -> MemoryBroker:
        """Return the broker that has been open for as long as this contact lasts."""
        if self._broker is None or self._broker._store is not domain.store:
            self._broker = domain.client()
            await self._broker.open()
        return self._broker


class Server:
    """Listens on a free port of the loopback from ``start`` to ``stop``. Its methods are for other threads."""

    def __init__(self) -> None:
        self.connections: set[Connection] = set()
        self.address: Address = ("127.0.0.1", 0)
        self._name = f"served-{next(_servers)}"
        self._domains: dict[DomainName, Domain] = {}
        self._loop: asyncio.AbstractEventLoop
        self._listener: asyncio.Server
        self._stopping: asyncio.Event
        self._ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._live()), name=self._name, daemon=True)

    def start(self) -> None:
        """Listen."""
        self._thread.start()
        self._ready.wait()

    def stop(self) -> None:
        """Drop every connection and end the thread."""
        self._loop.call_soon_threadsafe(self._stopping.set)
        self._thread.join()

    async def restart(self) -> None:
        """Drop every connection and listen again, on the same port and with all that was kept."""
        await self._call(self._restart())

    @asynccontextmanager
    async def standing_still(self) -> AsyncIterator[None]:
        """Do nothing at all, as a stopped process would; the connections stay open."""
        still, go_on = threading.Event(), threading.Event()

        def stand_still() -> None:
            still.set()
            go_on.wait()

        self._loop.call_soon_threadsafe(stand_still)
        await asyncio.to_thread(still.wait)
        try:
            yield
        finally:
            go_on.set()

    async def census(self, name: DomainName) -> Mapping[str, int]:
        """Count what is kept of a domain."""

        async def count() -> Mapping[str, int]:
            await turns(5)  # so that connections are gone whose end has arrived
            connections = sum(one.domain is self.domain(name) for one in self.connections)
            return {**await self.domain(name).census(), "connection": connections}

        return await self._call(count())

    async def wreck(self, name: DomainName) -> None:
        """Lose a domain."""
        await self._call(self.domain(name).wreck())

    async def forget(self, name: DomainName) -> None:
        """Drop a domain that nobody uses any more."""

        async def drop() -> None:
            self._domains.pop(name, None)

        await self._call(drop())

    def domain(self, name: DomainName) -> Domain:
        """Return a domain, made on first use."""
        if name not in self._domains:
            self._domains[name] = Domain(self._name, name)
        return self._domains[name]

    async def _call(self, work: Coroutine[Any, Any, T]) -> T:
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(work, self._loop))

    async def _live(self) -> None:
        self._loop, self._stopping = asyncio.get_running_loop(), asyncio.Event()
        await self._listen()
        self._ready.set()
        await self._stopping.wait()
        await self._hang_up()

    async def _restart(self) -> None:
        await self._hang_up()
        await self._listen()

    async def _listen(self) -> None:
        self._listener = await self._loop.create_server(lambda: Connection(self), *self.address)
        self.address = self._listener.sockets[0].getsockname()[:2]

    async def _hang_up(self) -> None:
        self._listener.close()
        for connection in list(self.connections):
            if connection.transport is not None:
                connection.transport.abort()
        await self._listener.wait_closed()
