"""Concurrent submits become batches by themselves."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Sequence

import attrs

from orcastra_core.model.envelope import Envelope
from orcastra_core.model.errors import BrokerClosed
from orcastra_core.model.published import Published

BATCH_BYTES = 1024 * 1024
WAITING_ITEMS = 10_000
WAITING_BYTES = 64 * 1024 * 1024


@attrs.define(eq=False)
class _Submit:
    envelope: Envelope
    answer: asyncio.Future[Published]


class Batcher:
    """Gathers envelopes while a batch is in flight; sends the rest as the next one.

    The first submit on an idle batcher leaves with the next turn of the loop:
    there is no timer, one caller waits for nobody. A batch closes at
    ``max_batch`` items or ``BATCH_BYTES``. While ``WAITING_ITEMS`` or
    ``WAITING_BYTES`` have gathered, ``submit`` waits.
    """

    def __init__(self, send: Callable[[Sequence[Envelope]], Awaitable[Sequence[Published]]], *, max_batch: int) -> None:
        self._send = send
        self._max_batch = max_batch
        self._waiting: deque[_Submit] = deque()
        self._bytes = 0
        self._loop = asyncio.get_running_loop()
        self._wake: asyncio.Future[None] | None = None
        self._closed = False
        self._room = asyncio.Event()
        self._room.set()

    async def submit(self, envelope: Envelope) -> Published:
        """Return the broker's answer for ``envelope``.

        Cancelled before its batch is sent, it is withdrawn; later it counts as sent.
        """
        while not self._room.is_set():
            await self._room.wait()
            if self._closed:
                raise BrokerClosed("the app was left before this was submitted")
        entry = _Submit(envelope, self._loop.create_future())
        self._waiting.append(entry)
        self._bytes += len(envelope.body)
        if len(self._waiting) >= WAITING_ITEMS or self._bytes >= WAITING_BYTES:
            self._room.clear()
        if self._wake is not None and not self._wake.done():
            self._wake.set_result(None)
        # a cancelled await cancels the future, and _take passes over it
        return await entry.answer

    async def run(self) -> None:
        """Send batches until cancelled; who still waits then gets BrokerClosed."""
        try:
            while True:
                if not self._waiting:
                    self._wake = self._loop.create_future()
                    await self._wake
                batch = self._take()
                if batch:
                    await self._flush(batch)
        finally:
            self._fail(self._waiting, BrokerClosed("the app was left before this was submitted"))
            self._waiting.clear()
            self._closed = True
            self._room.set()

    async def _flush(self, batch: list[_Submit]) -> None:
        try:
            answers = await self._send([entry.envelope for entry in batch])
        except Exception as error:  # noqa: BLE001 - of a broken broker too: whoever submits must hear of it
            self._fail(batch, error)
            return
        except BaseException:
            self._fail(batch, BrokerClosed("the app was left while this was submitted: it may be stored or not"))
            raise
        for entry, answer in zip(batch, answers, strict=True):
            if not entry.answer.done():
                entry.answer.set_result(answer)

    @staticmethod
    def _fail(entries: Iterable[_Submit], error: Exception) -> None:
        for entry in entries:
            if not entry.answer.done():
                entry.answer.set_exception(error)

    def _take(self) -> list[_Submit]:
        batch: list[_Submit] = []
        size = 0
        while self._waiting and len(batch) < self._max_batch:
            entry = self._waiting[0]
            body = len(entry.envelope.body)
            if batch and size + body > BATCH_BYTES:
                break
            self._waiting.popleft()
            self._bytes -= body
            if not entry.answer.cancelled():
                batch.append(entry)
                size += body
        if not self._room.is_set() and len(self._waiting) < WAITING_ITEMS and self._bytes < WAITING_BYTES:
            self._room.set()
        return batch
