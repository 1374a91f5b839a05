"""A relay before a broker that keeps what is said on the wire."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress

import attrs

from orcastra_kafka.conformance_servers import Server

_HEADER = struct.Struct(">hhih")
_FLEXIBLE = frozenset({76, 78, 79})
"""Share group heartbeat, share fetch and share acknowledge: what is kept."""


@attrs.define
class Exchange:
    """A request of a share group's member, and its answer.

    Attributes:
        client: What the client calls itself.
        key, version: Of the API.
        request: The body, without its header.
        answer: The body, without its header; None while it has not come.
    """

    client: str
    key: int
    version: int
    request: bytes
    answer: bytes | None = None


class Wiretap:
    """What was said, in the order in which it was asked.

    Attributes:
        address: Where clients connect.
    """

    def __init__(self, address: str) -> None:
        self.address = address
        self.exchanges: list[Exchange] = []

    def of(self, client: str, key: int) -> list[Exchange]:
        """Return what a client has asked by one API, and was answered."""
        return [one for one in self.exchanges if one.client == client and one.key == key and one.answer is not None]

    async def serve(self, server: Server, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Hand one connection on."""
        there, onward = await asyncio.open_connection("127.0.0.1", server.relayed)
        open_: dict[int, Exchange] = {}

        def asked(frame: bytes) -> None:
            key, version, number, length = _HEADER.unpack_from(frame)
            if key in _FLEXIBLE:
                end = _HEADER.size + max(length, 0)
                assert frame[end] == 0, "no tagged fields in the header"
                exchange = Exchange(frame[_HEADER.size : end].decode(), key, version, frame[end + 1 :])
                self.exchanges.append(exchange)
                open_[number] = exchange

        def answered(frame: bytes) -> None:
            exchange = open_.pop(int.from_bytes(frame[:4], "big"), None)
            if exchange is not None:
                assert frame[4] == 0, "no tagged fields in the header"
                exchange.answer = frame[5:]

        try:
            async with asyncio.TaskGroup() as both:
                both.create_task(_pump(reader, onward, asked))
                both.create_task(_pump(there, writer, answered))
        except* (OSError, EOFError):
            pass
        finally:
            onward.transport.abort()
            writer.transport.abort()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, seen: Callable[[bytes], None]) -> None:
    while True:
        length = await reader.readexactly(4)
        frame = await reader.readexactly(int.from_bytes(length, "big"))
        seen(frame)
        writer.write(length + frame)
        await writer.drain()


@asynccontextmanager
async def tapped(server: Server) -> AsyncIterator[Wiretap]:
    """Stand where a broker says that it is to be found by those who come by a relay."""
    tap = Wiretap(f"127.0.0.1:{server.advertised}")
    connections: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        connections.add(task)
        with suppress(asyncio.CancelledError):
            await tap.serve(server, reader, writer)

    listening = await asyncio.start_server(serve, "127.0.0.1", server.advertised)
    try:
        yield tap
    finally:
        listening.close()
        for task in connections:
            task.cancel()
        if connections:
            await asyncio.wait(connections)
