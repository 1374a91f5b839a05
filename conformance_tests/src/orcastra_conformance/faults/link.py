"""One connection through a proxy: the two that it is made of."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Callable

from orcastra_conformance.engine.harness import Address
from orcastra_conformance.faults.valve import Flow, Valve, Way

_CHUNK = 65536
_RESET = struct.pack("ii", 1, 0)


class Link:
    """Hands on what comes in at either end, as the valve says, until it is cut or both ends have closed.

    Attributes:
        gap: Whether bytes are missing on it, so that it is of no use any more.
        stranded: Whether the client's end is gone and the server's is not.
    """

    def __init__(self, client: socket.socket, valve: Valve) -> None:
        self.gap = False
        self.stranded = False
        self._landing = asyncio.Event()
        self._client = client
        self._server: socket.socket | None = None
        self._valve = valve
        self._shut: set[Way] = set()
        self._cut = False
        self._task: asyncio.Task[None] | None = None

    def begin(self, task: asyncio.Task[None], ended: Callable[[Link], None]) -> None:
        """Live as long as ``task``, and let go of the sockets at its end, also if it never ran."""

        def end(_: object) -> None:
            self._close()
            ended(self)

        self._task = task
        task.add_done_callback(end)

    async def lead_to(self, server: Address) -> None:
        """Connect with the server; where that fails, the link is cut."""
        self._server = socket.socket(socket.AF_INET6 if ":" in server[0] else socket.AF_INET)
        self._server.setsockopt(
            socket.SOL_SOCKET, socket.SO_RCVBUF, _CHUNK
        )  # what is held must not pile up in the kernel
        self._server.setblocking(False)
        try:
            await asyncio.get_running_loop().sock_connect(self._server, server)
        except OSError:
            self.cut()

    async def run(self) -> None:
        """Hand on. Cancelled by ``cut``."""
        async with asyncio.TaskGroup() as pumps:
            pumps.create_task(self._pump(Way.UP, self._client, self._server))
            if self._server is not None:
                pumps.create_task(self._pump(Way.DOWN, self._server, self._client))

    def cut(self) -> None:
        """End both connections by a reset; nothing goes through any more from this moment on."""
        if not self._cut and self._task is not None:
            self._cut = True
            self._task.cancel()

    def half_close(self, way: Way) -> None:
        """Tell the receiving end that nothing more comes this way; what still comes is swallowed."""
        self.gap = True
        self._shut.add(way)
        _shut(self._server if way is Way.UP else self._client)

    def strand(self) -> None:
        """Reset the client's end, of which a chunk is held back; it goes on with ``land``."""
        self.gap = self.stranded = True
        self._client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        self._client.close()

    def land(self) -> None:
        """Hand on what was stranded, and tell the server that nothing more comes."""
        self._landing.set()

    async def _pump(self, way: Way, source: socket.socket, sink: socket.socket | None) -> None:
        loop = asyncio.get_running_loop()
        try:
            while chunk := await loop.sock_recv(source, _CHUNK):
                left = None if self._cut else await self._valve.admit(self, way, chunk)
                if self._cut:
                    return
                if left is None or sink is None or way in self._shut:
                    self.gap = True
                elif self.stranded:
                    if way is Way.UP:
                        await self._landing.wait()
                        await loop.sock_sendall(sink, left)
                        break
                elif left:
                    await loop.sock_sendall(sink, left)
                self._valve.spring()
        except OSError:
            self.cut()
            return
        if not self._cut and self._valve.flow[way] is not Flow.SWALLOW:
            _shut(sink)

    def _close(self) -> None:
        for one in (self._client, self._server):
            if one is not None:
                if one.fileno() >= 0 and (self._cut or self.gap):
                    one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
                one.close()


def _shut(one: socket.socket | None) -> None:
    try:
        if one is not None:
            one.shutdown(socket.SHUT_WR)
    except OSError:
        pass  # it is gone already
