"""Results on their way to those who wait: one subscription for all handles of a client."""

from __future__ import annotations

import asyncio
import random
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

from orcastra_core.interfaces.clock import Clock
from orcastra_core.interfaces.results import ResultFeed, ResultStore
from orcastra_core.model.errors import BrokerClosed, BrokerError
from orcastra_core.model.ids import TaskId
from orcastra_core.model.result import Absence, Outcome, Result
from orcastra_core.runtime.patience import Patience

RECENT = 10_000
"""Pushed results that are kept for a ``wait`` that begins a moment later."""

RECENT_BYTES = 64 * 1024 * 1024

_FIRST_REREAD = 0.25
_SLOWEST_REREAD = 5.0


class ResultWaiter:
    """Waits for many tasks over one feed.

    The feed is open before anything is submitted; a wait then looks among what
    was pushed, reads the store, and waits for a push, reading again now and then
    because a feed may miss some and other clients' results are not pushed here.
    """

    def __init__(self, store: ResultStore, feed: ResultFeed, clock: Clock, rng: random.Random) -> None:
        self.channel = feed.channel
        self._store = store
        self._feed = feed
        self._waiting: dict[TaskId, list[asyncio.Future[Result]]] = {}
        self._recent: OrderedDict[TaskId, Result] = OrderedDict()
        self._recent_bytes = 0
        self._to_read: list[tuple[TaskId, asyncio.Future[Result | Absence]]] = []
        self._reading: asyncio.Future[None] | None = None
        self._patience = Patience("listening for results", clock, rng)
        self._read_patience = Patience("reading results", clock, rng)

    async def wait(self, task_id: TaskId) -> Result | Absence:
        """Return the task's result, or EXPIRED or UNKNOWN. Waits as long as it takes."""
        recent = self._recent.get(task_id)
        if recent is not None and recent.outcome is not Outcome.FAILED:
            return recent
        pushed: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(task_id, []).append(pushed)
        pause = _FIRST_REREAD
        try:
            while True:
                read = await self._read(task_id)
                if read is not Absence.PENDING:
                    if pushed.done():
                        return pushed.result()
                    # a failed task may have been replayed since it was pushed: the store says so, or has forgotten it
                    return recent if recent is not None and not isinstance(read, Result) else read
                await asyncio.wait([pushed], timeout=pause)
                if pushed.done():
                    return pushed.result()
                pause = min(pause * 2, _SLOWEST_REREAD)
        finally:
            others = self._waiting[task_id]
            others.remove(pushed)
            if not others:
                del self._waiting[task_id]

    async def listen(self) -> None:
        """Take in pushed results until cancelled."""
        while True:
            try:
                results = await self._feed.next(wait=30.0)
                self._patience.success()
            except BrokerError as error:
                await self._patience.pause(error)
                continue
            for result in results:
                self.take(result)

    async def read_batches(self) -> None:
        """Answer reads until cancelled: those of one turn of the loop share a call."""
        loop = asyncio.get_running_loop()
        while True:
            if not self._to_read:
                self._reading = loop.create_future()
                await self._reading
            batch, self._to_read = self._to_read[:1000], self._to_read[1000:]
            try:
                answers = await self._store.get([task_id for task_id, _ in batch])
                self._read_patience.success()
            except BrokerError as error:
                if not error.retryable:
                    _fail(batch, error)
                    continue
                self._to_read = batch + self._to_read
                await self._read_patience.pause(error)
                continue
            except Exception as error:  # noqa: BLE001 - of a broken store: whoever waits must hear of it
                _fail(batch, error)
                continue
            except BaseException:
                self._to_read = batch + self._to_read  # `close` answers them
                raise
            for (_, future), answer in zip(batch, answers, strict=True):
                if not future.done():
                    future.set_result(answer)

    async def close(self) -> None:
        """Close the feed; whoever still waits gets BrokerClosed."""
        left = BrokerClosed("the app was left before this task had ended; its handle is good for asking again")
        _fail(self._to_read, left)
        for task_id, waiting in self._waiting.items():
            _fail([(task_id, future) for future in waiting], left)
        await self._feed.close()

    async def _read(self, task_id: TaskId) -> Result | Absence:
        future: asyncio.Future[Result | Absence] = asyncio.get_running_loop().create_future()
        self._to_read.append((task_id, future))
        if self._reading is not None and not self._reading.done():
            self._reading.set_result(None)
        return await future

    def take(self, result: Result) -> None:
        """Hand a result to those who wait for it."""
        for future in self._waiting.get(result.id, ()):
            if not future.done():
                future.set_result(result)
        before = self._recent.pop(result.id, None)
        self._recent[result.id] = result
        self._recent_bytes += len(result.value) - (len(before.value) if before is not None else 0)
        while len(self._recent) > RECENT or self._recent_bytes > RECENT_BYTES:
            self._recent_bytes -= len(self._recent.popitem(last=False)[1].value)


def _fail(asked: Sequence[tuple[TaskId, asyncio.Future[Any]]], error: Exception) -> None:
    for _, future in asked:
        if not future.done():
            future.set_exception(error)
            future.exception()  # seen: who waits has two of these and reads one
