"""Results, and the feeds that bring them."""

from __future__ import annotations

import asyncio
import secrets
from collections import deque
from collections.abc import Callable, Iterator, Sequence

from orcastra_core.interfaces.results import ResultFeed, ResultStore
from orcastra_core.model.errors import (
    BrokerClosed,
    BrokerUnavailable,
    DeserializationError,
    InvalidOption,
    SerializationError,
)
from orcastra_core.model.ids import TaskId
from orcastra_core.model.result import Absence, Result
from orcastra_core.serialization.result_codec import decode_result, encode_result
from orcastra_redis.core import Core

BUFFER = 100_000
"""Results a feed keeps for a client that does not ask; the oldest go first, and can still be read."""


class RedisFeed(ResultFeed):
    """A channel to which results are sent, several in a message."""

    def __init__(self, core: Core, ended: Callable[[RedisFeed], None]) -> None:
        self.channel = secrets.token_hex(8)
        self._core = core
        self._ended = ended
        self._results: deque[Result] = deque(maxlen=BUFFER)
        self._came = asyncio.Event()
        self._begun = False
        self._missed = False
        self._closed = False

    async def begin(self) -> None:
        """Listen."""
        await self._core.listener.add(self._name, self._told)
        self._begun = True

    async def next(self, *, wait: float) -> Sequence[Result]:
        until = asyncio.get_running_loop().time() + wait
        while True:
            if self._closed:
                raise BrokerClosed("the feed was closed, or its broker")
            if self._results:
                found = list(self._results)
                self._results.clear()
                return found
            if self._missed:
                self._missed = False
                raise BrokerUnavailable(
                    "the connection that brings results was lost; some may have been missed"
                ) from self._core.listener.error
            self._came.clear()
            try:
                async with asyncio.timeout_at(until):
                    await self._came.wait()
            except TimeoutError:
                return []

    async def close(self) -> None:
        self.drop()

    def drop(self) -> None:
        """Close at once."""
        if not self._closed:
            self._closed = True
            self._core.listener.drop(self._name)
            self._came.set()
            self._ended(self)

    @property
    def _name(self) -> str:
        return f"{self._core.link.prefix}r:{self.channel}"

    def _told(self, message: bytes | None) -> None:
        if message is None:
            self._missed = self._begun
        else:
            self._results.extend(_split(message))
        self._came.set()


def _split(message: bytes) -> Iterator[Result]:
    at = 0
    while at < len(message):
        size = int.from_bytes(message[at : at + 4], "big")
        try:
            yield decode_result(message[at + 4 : at + 4 + size])
        except DeserializationError:
            pass  # of a later version: whoever waits reads it and is told
        at += 4 + size


class RedisResults(ResultStore):
    """Results in the records of their tasks."""

    def __init__(self, core_of: Callable[[], Core], feeds: set[RedisFeed]) -> None:
        self._core_of = core_of
        self._feeds = feeds

    async def put(self, batch: Sequence[tuple[Result, str | None]], /) -> None:
        core = self._core_of()
        for result, reply in batch:
            try:
                encoded = encode_result(result)
            except SerializationError as error:
                raise InvalidOption(str(error)) from error
            while True:
                (there,) = await core.link.run("results", result.id)
                before = there[1:] if there[:1] == b"R" else b""
                if there == b"P" or (before and decode_result(before).ended_at >= result.ended_at):
                    break
                ttl = max(0, round(result.ttl * 1000))
                if await core.link.run("put_result", result.id, ttl, reply or "", encoded, before):
                    break

    async def get(self, ids: Sequence[TaskId], /) -> Sequence[Result | Absence]:
        said = await self._core_of().link.run("results", *ids) if ids else []
        return [_read(one) for one in said]

    async def subscribe(self) -> ResultFeed:
        feed = RedisFeed(self._core_of(), self._feeds.discard)
        await feed.begin()
        self._feeds.add(feed)
        return feed

    async def prune(self, *, limit: int) -> int:
        """Return 0: the server drops what outlived its TTL."""
        self._core_of()
        return 0


def _read(said: bytes) -> Result | Absence:
    if said[:1] == b"R":
        return decode_result(said[1:])
    return {b"P": Absence.PENDING, b"E": Absence.EXPIRED}.get(said, Absence.UNKNOWN)
