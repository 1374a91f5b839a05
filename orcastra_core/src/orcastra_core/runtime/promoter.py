"""Makes ready what is due, on a timer."""

from __future__ import annotations

import asyncio
import logging
import random

from orcastra_core.interfaces.broker import Broker
from orcastra_core.interfaces.clock import Clock
from orcastra_core.interfaces.scheduler import Scheduler
from orcastra_core.model.errors import BrokerError
from orcastra_core.model.schedule import Plan
from orcastra_core.runtime.patience import Patience

_log = logging.getLogger("orcastra.runtime")

LOOK_EVERY = 1.0
"""Seconds after which a promoter looks even if it heard of nothing: hints may be lost."""

_CHUNK = 500


class Promoter:
    """Calls ``promote`` when something is due, a jittered second later at the most."""

    def __init__(self, scheduler: Scheduler, broker: Broker, plan: Plan, clock: Clock, rng: random.Random) -> None:
        self._scheduler = scheduler
        self._broker = broker
        self._plan = plan
        self._clock = clock
        self._rng = rng
        self._hint = asyncio.Event()

    def hint(self) -> None:
        """Look again now: something was deferred."""
        self._hint.set()

    async def run(self) -> None:
        """Promote until cancelled."""
        patience = Patience("promoting what is due", self._clock, self._rng)
        while True:
            self._hint.clear()
            try:
                promotion = await self._scheduler.promote(self._broker, limit=_CHUNK, plan=self._plan)
                patience.success()
            except BrokerError as error:
                await patience.pause(error)
                continue
            for envelope, why in promotion.refused:
                _log.error("deferred task %s %s was refused when it was due: %s", envelope.task, envelope.id, why)
            pause = LOOK_EVERY * self._rng.uniform(0.75, 1.0)
            if promotion.next_in is not None:
                pause = min(pause, promotion.next_in)
            await self._pause(pause)

    async def _pause(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._hint.wait()
        except TimeoutError:
            pass
