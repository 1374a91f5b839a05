"""Asks for what there are free slots for."""

from __future__ import annotations

import asyncio
import logging
import random
from collections import deque
from collections.abc import Sequence

from orcastra_core.interfaces.clock import Clock
from orcastra_core.model.delivery import Delivery, Receipt, Want
from orcastra_core.model.errors import BrokerError, BrokerTimeout
from orcastra_core.model.names import QueueName
from orcastra_core.runtime.executor import Executor
from orcastra_core.runtime.patience import Patience
from orcastra_core.runtime.tenure import Tenure
from orcastra_core.runtime.verdict import SUSPECT_LOST

_log = logging.getLogger("orcastra.runtime")

WAIT = 5.0
"""Seconds one fetch waits on empty queues."""

STALL = 20.0
"""Seconds beyond its wait after which a fetch is given up and begun anew."""

SUSPECT_PATIENCE = 30.0
"""Seconds a suspect waits for the others to end before it is handed back."""

_LAST_FETCH = 0.25
_BACKLOG_PER_SLOT = 4


class Fetcher:
    """Keeps the executor's slots filled from one session.

    Takes turns which queue comes first, so that none starves. Holds back
    while outcomes pile up unsettled. Runs suspects, deliveries that have lost their
    holders twice, with nothing beside them. Begins no fetch once ``stop`` is set.
    """

    def __init__(
        self,
        tenure: Tenure,
        executor: Executor,
        queues: Sequence[QueueName],
        *,
        max_batch: int,
        clock: Clock,
        rng: random.Random,
        stop: asyncio.Event,
        wait: float = WAIT,
    ) -> None:
        self._tenure = tenure
        self._executor = executor
        self._queues = deque(queues)
        self._max_batch = max_batch
        self._clock = clock
        self._patience = Patience("fetching", clock, rng)
        self._wait = wait
        self._suspects: deque[Delivery] = deque()
        self._stop = stop
        self.empty = asyncio.Event()
        """Set when the last fetch found nothing."""

    async def run(self) -> None:
        """Fetch until cancelled.

        Raises:
            SessionFenced: The session was reaped.
            BrokerError: One that no repeat can mend.
        """
        executor = self._executor
        share = 2 if self._tenure.session.remote else 1
        most = min(self._max_batch, max(1, executor.concurrency // share))
        while True:
            await executor.wait_for(lambda: executor.free > 0)
            await self._tenure.settler.backlog_below(_BACKLOG_PER_SLOT * executor.concurrency)
            if self._stop.is_set():
                return
            free = min(executor.free, most)
            self._queues.rotate(-1)
            want = Want(free, [(queue, free) for queue in self._queues])
            try:
                async with asyncio.timeout(self._wait + STALL):
                    deliveries = await self._tenure.session.fetch(want, wait=self._wait)
            except TimeoutError as error:
                stalled = error if isinstance(error, BrokerError) else BrokerTimeout("a fetch made no progress")
                await self._patience.pause(stalled)
                continue
            except BrokerError as error:
                await self._patience.pause(error)
                continue
            self._patience.success()
            if self._stop.is_set():
                self._suspects.extend(deliveries)
                return
            if not deliveries:
                self.empty.set()
                continue
            self.empty.clear()
            executor.stats.fetched += len(deliveries)
            for delivery in deliveries:
                if delivery.counts.lost >= SUSPECT_LOST:
                    self._suspects.append(delivery)
                else:
                    executor.start(delivery, self._tenure)
            while self._suspects:
                await self._run_alone(self._suspects[0])

    async def stop(self, fetching: asyncio.Task[None]) -> None:
        """End ``fetching``, the task that runs this, and release what was taken over but not begun.

        A fetch on its way gets a moment to come back: cancelled, it would leave
        what it took to the session, out of everybody's reach until that ends.
        """
        self._stop.set()
        # with nothing to drain, the session ends right after this
        await asyncio.wait([fetching], timeout=_LAST_FETCH if self._executor.running else 0)
        fetching.cancel()
        await asyncio.wait([fetching])
        while self._suspects:
            self._release(self._suspects.popleft(), 0.0, "the worker shuts down")

    def receipts(self) -> set[Receipt]:
        """What was taken over but not begun."""
        return {suspect.receipt for suspect in self._suspects}

    async def _run_alone(self, suspect: Delivery) -> None:
        _log.warning("task %s lost its worker %d times: it runs alone now", suspect.envelope.id, suspect.counts.lost)
        try:
            async with asyncio.timeout(SUSPECT_PATIENCE):
                await self._executor.wait_for(lambda: not self._executor.running)
        except TimeoutError:
            self._suspects.popleft()
            self._release(suspect, 1.0, "a suspect: no moment to run it alone")
            return
        # its neighbours' outcomes must not die with it
        await self._tenure.settler.idle()
        self._suspects.popleft()
        self._executor.start(suspect, self._tenure)
        await self._executor.wait_for(lambda: not self._executor.running)

    def _release(self, delivery: Delivery, after: float, reason: str) -> None:
        judge = self._tenure.judge
        self._tenure.settle(judge.released(delivery, delivery.envelope, after, reason, self._clock.now()))
