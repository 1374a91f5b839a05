"""Waiting between tries of a retryable broker error."""

from __future__ import annotations

import logging
import random

from orcastra_core.interfaces.clock import Clock
from orcastra_core.model.errors import BrokerError

_log = logging.getLogger("orcastra.runtime")


class Patience:
    """Jittered, growing pauses; one log line when trouble starts and one when it ends."""

    def __init__(self, what: str, clock: Clock, rng: random.Random, *, first: float = 0.05, most: float = 2.0) -> None:
        self._what = what
        self._clock = clock
        self._rng = rng
        self._first = first
        self._most = most
        self._delay = 0.0

    async def pause(self, error: BrokerError) -> None:
        """Wait before the next try; raise ``error`` at once if no try can help."""
        if not error.retryable:
            raise error
        if not self._delay:
            _log.warning("%s failed, trying again until the store answers: %s", self._what, error)
        self._delay = min(self._most, self._delay * 2 or self._first)
        await self._clock.sleep(self._rng.uniform(self._delay / 2, self._delay))

    def success(self) -> None:
        """Note that a try went through."""
        if self._delay:
            _log.info("%s works again", self._what)
            self._delay = 0.0
