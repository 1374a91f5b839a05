"""One address for a PgBouncer and the server behind it, so that one proxy before it cuts off both.

Who comes as a certain user is led to the server itself, everybody else to the PgBouncer. Run as a program:
``python conformance_front.py PORT POOLER SERVER``, three ports of the loopback.
"""

from __future__ import annotations

import asyncio
import socket
import struct
import sys

DIRECT = "direct"
"""The user who is led to the server itself."""

_HERE = "127.0.0.1"
_TLS, _GSS = 80877103, 80877104
"""What a client asks before it says who it is."""
_AT_ONCE = 65536


class Front:
    """Hands on what it reads, and the end of a connection: reset on one side, reset on the other.

    Args:
        pooler: The PgBouncer's port.
        server: The server's.
    """

    def __init__(self, pooler: int, server: int) -> None:
        self._pooler = pooler
        self._server = server

    async def serve(self, port: int) -> None:
        """Serve for ever."""
        listening = await asyncio.start_server(self._lead, _HERE, port)
        async with listening:
            await listening.serve_forever()

    async def _lead(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            first = await _introduction(reader, writer)
            port = self._server if _user(first) == DIRECT else self._pooler
            onward, back = await asyncio.open_connection(_HERE, port)
        except (OSError, EOFError):
            writer.transport.abort()
            return
        back.write(first)
        await asyncio.gather(_hand_on(reader, back), _hand_on(onward, writer))


async def _introduction(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
    """Read until the client says who it is; it gets no encryption. A wish to cancel is such a message too, without a user."""
    while True:
        head = await reader.readexactly(8)
        size, code = struct.unpack("!II", head)
        if code not in (_TLS, _GSS):
            return head + await reader.readexactly(size - 8)
        writer.write(b"N")


def _user(first: bytes) -> str:
    pairs = first[8:].split(b"\0")
    said = dict(zip(pairs[::2], pairs[1::2], strict=False))
    return said.get(b"user", b"").decode("utf-8", "replace")


async def _hand_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    try:
        while data := await reader.read(_AT_ONCE):
            writer.write(data)
            await writer.drain()
        writer.close()
    except OSError:
        writer.transport.abort()


if __name__ == "__main__":
    own, pooler, server = map(int, sys.argv[1:])
    asyncio.run(Front(pooler, server).serve(own))
