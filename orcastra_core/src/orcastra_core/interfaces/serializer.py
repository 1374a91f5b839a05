"""Values to bytes and back."""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable


@runtime_checkable
class Serializer(Protocol):
    """Turns plain values into bytes and back. Stateless and thread-safe."""

    content_type: str
    """What it writes, as a media type; how the reader finds the serializer."""

    def dumps(self, value: Any, /) -> bytes:
        """Return ``value`` as bytes: the same bytes for the same value, in every process.

        Raises:
            SerializationError: It holds something this format cannot; the message says where.
        """
        ...

    def loads(self, data: bytes, /) -> Any:
        """Return the value that ``data`` holds.

        In time and memory bounded by ``len(data)``, whatever the bytes.

        Raises:
            DeserializationError: And nothing else, for any bytes that ``dumps`` does not write.
        """
        ...
