"""Settlements become numbered batches by themselves."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Sequence

from orcastra_core.interfaces.session import Session
from orcastra_core.model.delivery import Receipt
from orcastra_core.model.errors import BrokerClosed, BrokerError, SessionFenced
from orcastra_core.model.published import Refused
from orcastra_core.model.settlement import STALE, Complete, Done, Failed, Settled, Settlement
from orcastra_core.runtime.patience import Patience

_log = logging.getLogger("orcastra.runtime")

BATCH_BYTES = 1024 * 1024


class Settler:
    """Batches a session's settlements: flushes at once when idle, gathers while a batch is in flight.

    A batch that got no answer is repeated under its number until it gets one:
    the store keeps its answer, so a repeat never reads STALE for what took effect.

    Args:
        session: Whose deliveries these are.
        max_batch: Most settlements of one call.
        patience: Paces the repeats.
        on_stale: Called with the settlements of a batch that came too late.
        on_refused: Called with a settlement that can never be settled as it is;
            returns what to settle instead.
    """

    def __init__(
        self,
        session: Session,
        *,
        max_batch: int,
        patience: Patience,
        on_stale: Callable[[Sequence[Settlement]], None],
        on_refused: Callable[[Settlement, Exception], Settlement],
    ) -> None:
        self._session = session
        self._max_batch = max_batch
        self._patience = patience
        self._on_stale = on_stale
        self._on_refused = on_refused
        self._pending: deque[Settlement] = deque()
        self._loop = asyncio.get_running_loop()
        self._wake: asyncio.Future[None] | None = None
        self._idle = asyncio.Event()
        self._idle.set()
        self._progress = asyncio.Event()
        self._closing = False
        self._in_flight: list[Settlement] = []
        self._number = 0
        self._large = 0

    async def backlog_below(self, most: int) -> None:
        """Wait until fewer than ``most`` settlements wait. For one waiter at a time."""
        while len(self._pending) >= most:
            self._progress.clear()
            await self._progress.wait()

    def receipts(self) -> set[Receipt]:
        """What waits to be settled or is in flight."""
        return {settlement.delivery.receipt for settlement in (*self._pending, *self._in_flight)}

    def add(self, settlement: Settlement) -> None:
        """Settle soon."""
        self._pending.append(settlement)
        if type(settlement) is Complete:
            self._large += len(settlement.result.value)
        if self._wake is not None and not self._wake.done():
            self._wake.set_result(None)
        self._idle.clear()

    async def idle(self) -> None:
        """Wait until nothing waits and nothing is in flight."""
        await self._idle.wait()

    def close(self) -> None:
        """Let ``run`` end once all that was added is settled."""
        self._closing = True
        if self._wake is not None and not self._wake.done():
            self._wake.set_result(None)

    def discard(self) -> None:
        """The session was reaped, and ``run`` has ended: all that got no answer came too late."""
        self._closing = True
        if self._in_flight or self._pending:
            self._on_stale([*self._in_flight, *self._pending])
            self._in_flight = []
            self._pending.clear()
        self._progress.set()
        self._idle.set()
        if self._wake is not None and not self._wake.done():
            self._wake.set_result(None)

    async def run(self) -> None:
        """Settle until closed and empty.

        Raises:
            BrokerError: One that no repeat can mend.
        """
        while True:
            if not self._pending:
                self._idle.set()
                if self._closing:
                    return
                self._wake = self._loop.create_future()
                await self._wake
                continue
            self._in_flight = self._take()
            self._progress.set()
            self._number += 1
            await self._settle(self._in_flight, self._number)
            self._in_flight = []

    async def _settle(self, batch: list[Settlement], number: int) -> None:
        while True:
            try:
                answers = await self._session.settle(batch, number=number)
            except (SessionFenced, BrokerClosed):
                self._on_stale(batch)
                return
            except BrokerError as error:
                await self._patience.pause(error)
                continue
            self._patience.success()
            break
        self._read(batch, answers)

    def _read(self, batch: list[Settlement], answers: Sequence[Settled]) -> None:
        stale: list[Settlement] = []
        for settlement, answer in zip(batch, answers, strict=True):
            if type(answer) is Done:
                if answer.emitted:
                    _tell_refused(settlement, answer)
                continue
            if answer is STALE:
                stale.append(settlement)
            elif isinstance(answer, Failed):
                again = isinstance(answer.error, BrokerError) and answer.error.retryable
                _log.warning("settling %s failed: %s", settlement.delivery.envelope.id, answer.error)
                self.add(settlement if again else self._on_refused(settlement, answer.error))
        if stale:
            self._on_stale(stale)

    def _take(self) -> list[Settlement]:
        if self._large <= BATCH_BYTES and len(self._pending) <= self._max_batch:
            batch = list(self._pending)
            self._pending.clear()
            self._large = 0
            return batch
        batch = []
        size = 0
        while self._pending and len(batch) < self._max_batch:
            settlement = self._pending[0]
            bytes_ = len(settlement.result.value) if type(settlement) is Complete else 0
            if batch and size + bytes_ > BATCH_BYTES:
                break
            batch.append(self._pending.popleft())
            size += bytes_
        self._large -= size
        return batch


def _tell_refused(settlement: Settlement, done: Done) -> None:
    for said in done.emitted:
        if isinstance(said, Refused):
            _log.error("a follow-up of task %s was refused: %s", settlement.delivery.envelope.id, said.why)
