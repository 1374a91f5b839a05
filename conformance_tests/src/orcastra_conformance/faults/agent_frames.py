"""What an agent and the case that started it say to each other: pickles, each behind its length, on a private pipe.

Pickles, because both ends are this very code and everything of the contract has to cross: envelopes, deliveries,
settlements and the errors. Nothing that a store or a network brings is ever unpickled here.
"""

from __future__ import annotations

import copyreg
import io
import pickle
from collections.abc import Iterator
from types import MappingProxyType
from typing import Any

import attrs

_LENGTH = 4


@attrs.frozen
class Call:
    """One call for the agent to make.

    Attributes:
        number: What its answer will carry.
        target: A session's id; «broker» for the client; empty for the agent itself.
        method: Its name.
        args: Positional arguments.
        options: Named arguments.
    """

    number: int
    target: str
    method: str
    args: tuple[Any, ...]
    options: dict[str, Any]


@attrs.frozen
class Answer:
    """What a call returned, or raised."""

    number: int
    value: Any = None
    error: Exception | None = None


@attrs.frozen
class Granted:
    """A session that the agent opened."""

    id: str
    lease: float


class AgentError(Exception):
    """The agent's side of a call raised what is no error of the contract; the message carries its traceback."""


def frame(message: Call | Answer) -> bytes:
    """Return a message as it is sent."""
    buffer = io.BytesIO()
    _Pickler(buffer, pickle.HIGHEST_PROTOCOL).dump(message)
    data = buffer.getvalue()
    return len(data).to_bytes(_LENGTH, "big") + data


class Frames:
    """Puts the bytes of one direction together again."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> Iterator[Any]:
        """Take what arrived; yield the messages that are complete."""
        self._buffer += data
        while len(self._buffer) >= _LENGTH:
            end = _LENGTH + int.from_bytes(self._buffer[:_LENGTH], "big")
            if len(self._buffer) < end:
                return
            message = bytes(self._buffer[_LENGTH:end])
            del self._buffer[:end]
            yield pickle.loads(message)  # noqa: S301 - written by this module, on a pipe of our own


def _view(items: dict[Any, Any]) -> MappingProxyType[Any, Any]:
    return MappingProxyType(items)


class _Pickler(pickle.Pickler):
    dispatch_table = copyreg.dispatch_table | {MappingProxyType: lambda view: (_view, (dict(view),))}
