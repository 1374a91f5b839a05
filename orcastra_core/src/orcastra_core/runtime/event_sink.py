"""Events that belong to no settlement, appended in the background."""

from __future__ import annotations

import asyncio
import logging
import random
from typing import Any

from orcastra_core.interfaces.clock import Clock
from orcastra_core.interfaces.events import EventLog
from orcastra_core.model.errors import BrokerError
from orcastra_core.model.event import EventKind
from orcastra_core.model.ids import TaskId
from orcastra_core.runtime.patience import Patience
from orcastra_core.serialization.event_codec import EventWriter

_log = logging.getLogger("orcastra.runtime")

_MOST = 10_000


class Silence(EventWriter):
    """Writes no events: for ``events=False`` and for brokers that keep none."""

    def completed(self, task_id: TaskId, at: float, attempt: int = 0) -> bytes:
        return b""

    def submitted(self, task_id: TaskId, at: float, queue: str, task: str) -> bytes:
        return b""

    def event(
        self, kind: EventKind, at: float, task_id: TaskId | None = None, attempt: int = 0, **detail: Any
    ) -> bytes:
        return b""


class EventSink:
    """Appends event records soon; drops the oldest beyond 10,000 while the store is away.

    Args:
        log: Where to; None drops everything.
    """

    def __init__(self, log: EventLog | None, clock: Clock, rng: random.Random) -> None:
        self._log = log
        self._patience = Patience("appending events", clock, rng)
        self._records: list[bytes] = []
        self._wake = asyncio.Event()
        self._appending = asyncio.Lock()

    def add(self, record: bytes) -> None:
        """Append ``record`` soon, unless it is empty."""
        if record and self._log is not None:
            self._records.append(record)
            del self._records[:-_MOST]
            self._wake.set()

    async def run(self) -> None:
        """Append until cancelled."""
        while True:
            await self._wake.wait()
            try:
                await self.flush()
                self._patience.success()
            except BrokerError as error:
                await self._patience.pause(error)

    async def end(self) -> None:
        """Append what is left, or say in the log that it could not be: a worker's work is done without it."""
        try:
            await self.flush()
        except BrokerError as error:
            _log.warning("the last %d events are missing in the event log: %s", len(self._records), error)

    async def flush(self) -> None:
        """Append what was added so far. Raises BrokerError, and then keeps it."""
        # one at a time: who flushes last must not come back before what `run` has under way is there
        async with self._appending:
            records, self._records = self._records, []
            self._wake.clear()
            if self._log is None or not records:
                return
            try:
                await self._log.append(records)
            except BaseException:
                self._records[:0] = records
                self._wake.set()
                raise
