"""What stands at the port that a broker advertises, so that those who came by a proxy come by it every time."""

from __future__ import annotations

import asyncio
import socket
import threading
from contextlib import suppress
from typing import TypeAlias

Address: TypeAlias = tuple[str, int]
"""A host and a port."""

_PIECE = 65536


class Relay:
    """Hands connections on to the proxy of the moment. Lives in a thread of its own, for an event loop lasts no longer than a case.

    Args:
        port: Where it listens, on the loopback.
    """

    def __init__(self, port: int) -> None:
        self.target: Address | None = None
        """Where it leads; None: nowhere, connections are reset."""
        self._listener = socket.create_server(("127.0.0.1", port))
        self._loop = asyncio.new_event_loop()
        self._ends: asyncio.Event | None = None
        self._up = threading.Event()
        self._thread = threading.Thread(target=self._run, name="conformance-relay", daemon=True)
        self._thread.start()
        self._up.wait()

    def close(self) -> None:
        """Close every connection and stop listening."""
        if self._ends is not None:
            self._loop.call_soon_threadsafe(self._ends.set)
        self._thread.join()

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._serve())

    async def _serve(self) -> None:
        self._ends = asyncio.Event()
        server = await asyncio.start_server(self._hand_on, sock=self._listener)
        self._up.set()
        await self._ends.wait()
        server.close()

    async def _hand_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            if self.target is None:
                raise ConnectionRefusedError
            there, onward = await asyncio.open_connection(*self.target)
        except OSError:
            writer.transport.abort()
            return
        try:
            async with asyncio.TaskGroup() as both:
                both.create_task(_pump(reader, onward))
                both.create_task(_pump(there, writer))
        except* (OSError, EOFError):
            pass
        finally:
            onward.transport.abort()
            writer.transport.abort()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Copy until the connection ends, either way; that ends the other direction too."""
    while piece := await reader.read(_PIECE):
        writer.write(piece)
        await writer.drain()
    with suppress(OSError):
        await writer.drain()
    raise EOFError
