"""Results, and the feeds that bring them."""

from __future__ import annotations

import asyncio
import secrets
import sqlite3
from collections import deque
from collections.abc import Callable, Sequence

from orcastra_core.backends.sqlite.core import Core
from orcastra_core.backends.sqlite.doorbell import HINTS, RESULTS, Doorbell, split_ids, split_results
from orcastra_core.backends.sqlite.prune import anything_gone, prune
from orcastra_core.backends.sqlite.pushing import keep, push
from orcastra_core.backends.sqlite.rows import DEAD, FINISHED
from orcastra_core.backends.sqlite.statements import select_list, sql
from orcastra_core.backends.sqlite.tx import Tx
from orcastra_core.interfaces.results import ResultFeed, ResultStore
from orcastra_core.model.errors import (
    BrokerClosed,
    DeserializationError,
    InvalidOption,
    OrcastraError,
    SerializationError,
)
from orcastra_core.model.ids import TaskId
from orcastra_core.model.result import Absence, Result
from orcastra_core.serialization.result_codec import decode_result, encode_result

BUFFER = 100_000
"""Results a feed keeps for a client that does not ask; the oldest go first, and can still be read."""


class SqliteFeed(ResultFeed):
    """A doorbell to which results are sent."""

    def __init__(self, core: Core, ended: Callable[[SqliteFeed], None]) -> None:
        self.channel = secrets.token_hex(8)
        self._core = core
        self._ended = ended
        self._buffer: deque[bytes] = deque(maxlen=BUFFER)
        self._hints: deque[TaskId] = deque(maxlen=BUFFER)
        self._something = asyncio.Event()
        self._closed = False
        name = core.place.feed(self.channel)
        assert name is not None
        try:
            self._bell: Doorbell | None = Doorbell(core.place, name, core.loop, self._hear)
        except OSError:  # no room for sockets here: who waits reads now and then
            self._bell = None

    async def next(self, *, wait: float) -> Sequence[Result]:
        loop = asyncio.get_running_loop()
        until = loop.time() + wait
        while True:
            if self._closed or self._core.closed:
                raise BrokerClosed("the feed was closed")
            self._something.clear()
            results = await self._read_hints() if self._hints else []
            while self._buffer:
                try:
                    results.append(decode_result(self._buffer.popleft()))
                except DeserializationError:
                    continue  # from a later release; reading says so
            if results or loop.time() >= until:
                return results
            try:
                async with asyncio.timeout_at(until):
                    await self._something.wait()
            except TimeoutError:
                pass

    async def close(self) -> None:
        self.drop()

    def drop(self) -> None:
        """Stop listening and free the reader. Idempotent."""
        self._closed = True
        self._something.set()
        if self._bell is not None:
            self._bell.close()
        self._ended(self)

    async def _read_hints(self) -> list[Result]:
        ids = list(self._hints)
        found = await read_results(self._core, ids)
        for _ in ids:
            self._hints.popleft()
        return [one for one in found if isinstance(one, Result)]

    def _hear(self, message: bytes) -> None:
        if message.startswith(RESULTS):
            self._buffer.extend(split_results(message))
        elif message.startswith(HINTS):
            self._hints.extend(TaskId(one) for one in split_ids(message))
        self._something.set()


class SqliteResults(ResultStore):
    """Results in the rows of their tasks."""

    def __init__(self, core_of: Callable[[], Core], feeds: set[SqliteFeed]) -> None:
        self._core_of = core_of
        self._feeds = feeds

    async def get(self, ids: Sequence[TaskId], /) -> Sequence[Result | Absence]:
        return await read_results(self._core_of(), ids)

    async def subscribe(self) -> ResultFeed:
        feed = SqliteFeed(self._core_of(), self._feeds.discard)
        self._feeds.add(feed)
        return feed

    async def put(self, batch: Sequence[tuple[Result, str | None]], /) -> None:
        try:
            encoded = [(result, reply, encode_result(result)) for result, reply in batch]
        except SerializationError as error:
            raise InvalidOption(str(error)) from error
        await self._core_of().write(lambda tx: put(tx, encoded), durable=True, weight=len(encoded))

    async def prune(self, *, limit: int) -> int:
        core = self._core_of()
        now = core.clock.now()
        if not await core.read(lambda conn: anything_gone(conn, now)):
            return 0
        return await core.write(lambda tx: prune(tx, limit), weight=limit)


def put(tx: Tx, batch: Sequence[tuple[Result, str | None, bytes]]) -> None:
    """Store results of tasks of another store; of two of one id the later end stays, and what runs here is none of theirs."""
    conn = tx.conn
    for result, reply, encoded in batch:
        kept, gone = keep(tx.now, result.ttl, encoded, pushed=reply is not None)
        stored = conn.execute(sql("put_result"), (tx.take_numbers(1), result.id, FINISHED, kept, gone)).rowcount
        if not stored:
            row = conn.execute("SELECT state, result, gone FROM task WHERE id = ?", (result.id,)).fetchone()
            before = _result(tx.now, *row)
            if isinstance(before, Result) and row[0] == FINISHED and before.ended_at < result.ended_at:
                conn.execute("UPDATE task SET result = ?, gone = ? WHERE id = ?", (kept, gone, result.id))
                stored = 1
        if stored and reply is not None:
            push(tx.effects, reply, result.id, encoded)


async def read_results(core: Core, ids: Sequence[TaskId]) -> list[Result | Absence]:
    """Return results, or why there is none."""
    now = core.clock.now()
    wanted = list(dict.fromkeys(ids))

    def work(conn: sqlite3.Connection) -> dict[TaskId, Result | Absence]:
        return {row[0]: _result(now, *row[1:]) for row in select_list(conn, sql("results"), wanted)}

    found = await core.read(work)
    return [found.get(task_id, Absence.UNKNOWN) for task_id in ids]


def _result(now: float, state: int, result: bytes | None, until: float | None) -> Result | Absence:
    if state not in (DEAD, FINISHED):
        return Absence.PENDING
    if result is None or until is None or until <= now:
        return Absence.EXPIRED
    try:
        return decode_result(result)
    except OrcastraError:
        return Absence.EXPIRED
