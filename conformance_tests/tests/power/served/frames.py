"""Values on a connection: a length, then a pickle."""

from __future__ import annotations

import asyncio
import io
import pickle
import struct
from types import MappingProxyType
from typing import Any

_HEAD = struct.Struct(">I")


class _Pickler(pickle.Pickler):
    def reducer_override(self, value: Any) -> Any:
        return (_read_only, (dict(value),)) if isinstance(value, MappingProxyType) else NotImplemented


class Frames(asyncio.Protocol):
    """One end of a connection: sends values, and is told of each that arrives whole."""

    def __init__(self) -> None:
        self.transport: asyncio.Transport | None = None
        self._pending = bytearray()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self._pending += data
        while len(self._pending) >= _HEAD.size:
            end = _HEAD.size + _HEAD.unpack_from(self._pending)[0]
            if len(self._pending) < end:
                return
            frame = bytes(self._pending[_HEAD.size : end])
            del self._pending[:end]
            self.received(pickle.loads(frame))

    def send(self, value: object) -> None:
        """Send a value, unless the connection is on its way out."""
        if self.transport is not None and not self.transport.is_closing():
            body = packed(value)
            self.transport.write(_HEAD.pack(len(body)) + body)

    def received(self, value: Any) -> None:
        """Take a value."""
        raise NotImplementedError


def _read_only(mapping: dict[Any, Any]) -> MappingProxyType[Any, Any]:
    return MappingProxyType(mapping)


def packed(value: object) -> bytes:
    """Return a value as bytes, read-only mappings included."""
    buffer = io.BytesIO()
    _Pickler(buffer, protocol=5).dump(value)
    return buffer.getvalue()
