"""Results, and the feeds that bring them."""

from __future__ import annotations

import asyncio
import base64
import secrets
from collections import deque
from collections.abc import Callable, Sequence

from orcastra_core.interfaces.results import ResultFeed, ResultStore
from orcastra_core.model.errors import (
    BrokerClosed,
    BrokerUnavailable,
    DeserializationError,
    InvalidOption,
    OrcastraError,
    SerializationError,
)
from orcastra_core.model.ids import TaskId
from orcastra_core.model.result import Absence, Result
from orcastra_core.serialization.result_codec import decode_result, encode_result
from orcastra_postgres.core import LOOKING, Core
from orcastra_postgres.settle import keep

BUFFER = 100_000
"""Results a feed keeps for a client that does not ask; the oldest go first, and can still be read."""

_DEAD, _FINISHED = 3, 4


class PostgresFeed(ResultFeed):
    """A channel to which results are sent, several in a notification."""

    def __init__(self, core: Core) -> None:
        self._looks = not core.listener.listens
        self.channel = (LOOKING if self._looks else "") + secrets.token_hex(8)
        self._core = core
        self._results: deque[bytes] = deque(maxlen=BUFFER)
        self._hints: deque[TaskId] = deque(maxlen=BUFFER)
        self._came = asyncio.Event()
        self._begun = False
        self._missed = False
        self._closed = False

    async def begin(self) -> None:
        """Listen."""
        self._core.feeds[self.channel] = self
        try:
            await self._core.listener.add(self._core.channel(self.channel), self._told)
            if self._looks:
                await self._look()
        except BaseException:
            self.drop()
            raise
        self._begun = True

    async def next(self, *, wait: float) -> Sequence[Result]:
        until = asyncio.get_running_loop().time() + wait
        while True:
            if self._closed:
                raise BrokerClosed("the feed was closed, or its broker")
            self._came.clear()
            found: list[Result] = await self._read_hints() if self._hints else []
            while self._results:
                try:
                    found.append(decode_result(self._results.popleft()))
                except DeserializationError:
                    continue  # from a later release; reading says so
            if found:
                return found
            if self._missed:
                self._missed = False
                raise BrokerUnavailable(
                    "the connection that brings results was lost; some may have been missed"
                ) from self._core.listener.error
            pause = until
            if self._looks and await self._look():
                continue
            if asyncio.get_running_loop().time() >= until:
                return []
            if self._looks:
                pause = min(until, asyncio.get_running_loop().time() + self._core.settings.poll)
            try:
                async with asyncio.timeout_at(pause):
                    await self._came.wait()
            except TimeoutError:
                pass

    async def close(self) -> None:
        self.drop()

    def drop(self) -> None:
        """Stop listening and free the reader. Idempotent."""
        self._closed = True
        self._came.set()
        self._core.feeds.pop(self.channel, None)
        self._core.listener.drop(self._core.channel(self.channel))

    def receive(self, result: bytes) -> None:
        """Take a result that this very process has settled."""
        self._results.append(result)
        self._came.set()

    async def _look(self) -> bool:
        rows = await self._core.ask("take_pushed", self._core.domain, self.channel)
        self._results.extend(row[0] for row in rows)
        return bool(rows)

    async def _read_hints(self) -> list[Result]:
        ids = list(self._hints)
        found = await read_results(self._core, ids)
        for _ in ids:
            self._hints.popleft()
        return [one for one in found if isinstance(one, Result)]

    def _told(self, line: str | None) -> None:
        if line is None:
            self._missed = self._begun
        elif line[:1] == "r":
            self._results.append(base64.b64decode(line[1:]))
        elif line[:1] == "h":
            self._hints.append(TaskId(line[1:]))
        self._came.set()


class PostgresResults(ResultStore):
    """Results in the rows of their tasks."""

    def __init__(self, core_of: Callable[[], Core]) -> None:
        self._core_of = core_of

    async def put(self, batch: Sequence[tuple[Result, str | None]], /) -> None:
        core = self._core_of()
        try:
            encoded = [(result, reply, encode_result(result)) for result, reply in batch]
        except SerializationError as error:
            raise InvalidOption(str(error)) from error
        latest: dict[TaskId, tuple[Result, str | None, bytes]] = {}
        for one in encoded:
            before = latest.get(one[0].id)
            if before is None or before[0].ended_at < one[0].ended_at:
                latest[one[0].id] = one
        kept = [keep(raw, result.ttl, pushed=reply is not None) for result, reply, raw in latest.values()]
        rows = await core.rows(
            "put_results", core.domain, list(latest), [one[0] for one in kept], [one[1] for one in kept]
        )
        stored = {str(row["id"]) for row in rows if row["stored"]}
        for row in rows:
            if not row["stored"]:
                result, reply, raw = latest[TaskId(str(row["id"]))]
                if await self._replace(core, result, raw, row["result"], pushed=reply is not None):
                    stored.add(result.id)
        for result, reply, raw in latest.values():
            if reply is not None and result.id in stored:
                core.push(reply, result.id, raw)

    async def _replace(self, core: Core, result: Result, raw: bytes, before: bytes, *, pushed: bool) -> bool:
        try:
            if decode_result(before).ended_at >= result.ended_at:
                return False
        except DeserializationError:
            return False
        kept, ttl = keep(raw, result.ttl, pushed=pushed)
        return bool((await core.call("replace_result", core.domain, result.id, before, kept, ttl))[0])

    async def get(self, ids: Sequence[TaskId], /) -> Sequence[Result | Absence]:
        return await read_results(self._core_of(), ids)

    async def subscribe(self) -> ResultFeed:
        feed = PostgresFeed(self._core_of())
        await feed.begin()
        return feed

    async def prune(self, *, limit: int) -> int:
        core = self._core_of()
        results = 0
        left = limit
        while left > 0:
            row = await core.call("prune", core.domain, min(left, 1000))
            results += row["results"]
            left -= max(1, row["looked"])
            if row["looked"] < 1000:
                break
        return results


async def read_results(core: Core, ids: Sequence[TaskId]) -> list[Result | Absence]:
    """Return results, or why there is none."""
    if not ids:
        return []
    rows = await core.ask("results", core.domain, list(dict.fromkeys(ids)))
    found = {str(row[0]): _result(row[1], row[2]) for row in rows}
    return [found.get(task_id, Absence.UNKNOWN) for task_id in ids]


def _result(state: int, result: bytes | None) -> Result | Absence:
    if state not in (_DEAD, _FINISHED):
        return Absence.PENDING
    if result is None:
        return Absence.EXPIRED
    try:
        return decode_result(result)
    except OrcastraError:
        return Absence.EXPIRED
