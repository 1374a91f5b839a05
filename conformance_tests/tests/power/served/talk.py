"""A client's connection to the server, made again whenever it is gone."""

from __future__ import annotations

import asyncio
import itertools
from typing import Any, Protocol, TypeVar

from orcastra_conformance import Address
from orcastra_core.model.errors import BrokerClosed, BrokerTimeout, BrokerUnavailable, OrcastraError
from orcastra_core.model.names import DomainName
from power.served.frames import Frames

T = TypeVar("T")

PING = 0.1
"""Seconds between signs of life. They keep the contact, and find out a connection that leads nowhere."""


class _Connection(Frames):
    """One connection, with the calls that wait for an answer on it.

    It ends when ``timeout`` seconds' pings have no answer.
    """

    def __init__(self, timeout: float) -> None:
        super().__init__()
        self._timeout = timeout
        self.gone: Exception | None = None
        self.lost = asyncio.Event()
        self._numbers = itertools.count(1)
        self._waiting: dict[int, asyncio.Future[Any]] = {}
        self._unanswered = 0
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._ping()

    def connection_lost(self, exc: Exception | None) -> None:
        self.end(exc or ConnectionResetError("the server closed the connection"))
        self.lost.set()

    def data_received(self, data: bytes) -> None:
        self._unanswered = 0
        super().data_received(data)

    def received(self, value: Any) -> None:
        number, well, answer = value
        future = self._waiting.get(number)
        if future is not None and not future.done():
            if well:
                future.set_result(answer)
            else:
                future.set_exception(answer)

    async def ask(self, operation: str, args: Any, kwargs: Any) -> Any:
        """Return the answer, or raise it. A call that is cancelled is given up over there too."""
        if self.gone is not None:
            raise self.gone
        number = next(self._numbers)
        future = self._waiting[number] = asyncio.get_running_loop().create_future()
        self.send((number, operation, args, kwargs))
        try:
            return await future
        except asyncio.CancelledError:
            self.send((number, "give up", (), {}))
            raise
        finally:
            del self._waiting[number]

    def end(self, why: Exception, *, politely: bool = False) -> None:
        """Close, and have every call that waits raise ``why``."""
        if self.gone is not None:
            return
        self.gone = why
        if self._timer is not None:
            self._timer.cancel()
        for future in self._waiting.values():
            if not future.done():
                future.set_exception(why)
        if self.transport is None:
            return
        if politely and not self.transport.get_write_buffer_size():
            self.transport.close()
        else:
            self.transport.abort()

    def _ping(self) -> None:
        # counted, not measured: a loop that was blocked has not listened, either
        if self._unanswered * PING >= self._timeout:
            self.end(TimeoutError(f"no answer for {self._timeout:g} s"))
            return
        self._unanswered += 1
        self.send((0, "ping", (), {}))
        self._timer = asyncio.get_running_loop().call_later(PING, self._ping)


class Calls(Protocol):
    """What calls the server.

    Attributes:
        place: The store it speaks for.
    """

    place: tuple[Address, DomainName]

    async def call(self, operation: str, *args: object, **kwargs: object) -> T:
        """Have the server do something, and return its answer."""


class Line:
    """Calls to one domain of the server. For one event loop; connects on first use, and again after a loss.

    The one edge at which errors are translated.

    Args:
        address: The server's.
        domain: Which.
        timeout: Seconds it waits for a connection, and for a sign of life on it.
    """

    def __init__(self, address: Address, domain: DomainName, timeout: float = 1.0) -> None:
        self._address = address
        self._domain = domain
        self._timeout = timeout
        self._connection: _Connection | None = None
        self._connecting = asyncio.Lock()
        self._patience: asyncio.Timeout | None = None
        self._failures = 0
        self._failure: BrokerUnavailable | None = None
        self._closed = False

    async def call(self, operation: str, *args: object, **kwargs: object) -> T:
        """Have the server do something, and return its answer.

        Raises:
            BrokerUnavailable: No connection in time, or it was lost during the call.
            BrokerTimeout: The server gave no sign of life in time.
            BrokerClosed: The line was closed.
        """
        connection = await self._connected()
        try:
            answer: T = await connection.ask(operation, args, kwargs)
        except OrcastraError:
            raise
        except TimeoutError as error:
            raise BrokerTimeout(f"{operation}: {error}") from error
        except OSError as error:
            raise BrokerUnavailable(f"{operation}: the connection was lost: {error}") from error
        return answer

    @property
    def unused(self) -> bool:
        """Whether it never led anywhere."""
        return self._connection is None

    def close(self) -> None:
        """Free every caller with BrokerClosed. For good."""
        self._closed = True
        if self._patience is not None:
            self._patience.reschedule(0.0)
        if self._connection is not None:
            self._connection.end(_closed(), politely=True)

    async def closed(self) -> None:
        """Close, and wait until the connection is."""
        self.close()
        if self._connection is not None:
            await self._connection.lost.wait()

    async def _connected(self) -> _Connection:
        failures = self._failures
        async with self._connecting:
            if self._closed:
                raise _closed()
            if self._connection is None or self._connection.gone is not None:
                if self._failure is not None and self._failures > failures:
                    raise self._failure  # what we waited for failed: no need to find out again
                self._connection = await self._connect()
            return self._connection

    async def _connect(self) -> _Connection:
        connection = _Connection(self._timeout)
        try:
            async with asyncio.timeout(self._timeout) as self._patience:
                await asyncio.get_running_loop().create_connection(lambda: connection, *self._address)
                await connection.ask("hello", (self._domain,), {})
        except BaseException as error:
            connection.end(ConnectionAbortedError("given up"))
            if self._closed:
                raise _closed() from error
            if not isinstance(error, OSError):
                raise
            host, port = self._address
            self._failures += 1
            self._failure = BrokerUnavailable(f"no server answers at {host}:{port}: {str(error) or 'it keeps silent'}")
            raise self._failure from error
        finally:
            self._patience = None
        return connection


def _closed() -> BrokerClosed:
    return BrokerClosed("the broker was closed, or was never opened")
