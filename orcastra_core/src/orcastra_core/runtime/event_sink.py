"""Events that belong to no settlement, appended in the background."""

from __future__ import annotations

import asyncio
import random

from orcastra_core.interfaces.clock import Clock
from orcastra_core.interfaces.events import EventLog
from orcastra_core.model.errors import BrokerError
from orcastra_core.runtime.patience import Patience

_MOST = 10_000


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

    def add(self, record: bytes) -> None:
        """Append ``record`` soon."""
        if self._log is not None:
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

    async def flush(self) -> None:
        """Append what is there now. Raises BrokerError, and then keeps it."""
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
