"""Reaps dead sessions, and drops what is past its time."""

from __future__ import annotations

import logging
import random

from orcastra_core.interfaces.broker import Broker
from orcastra_core.interfaces.clock import Clock
from orcastra_core.interfaces.results import ResultStore
from orcastra_core.model.dead_letter import DEAD_LETTER_TTL
from orcastra_core.model.errors import BrokerError
from orcastra_core.runtime.patience import Patience
from orcastra_core.runtime.stats import Stats

_log = logging.getLogger("orcastra.runtime")

EVERY = 0.4
"""Seconds between sweeps, give or take a half: many workers must not sweep in step."""

PRUNE_EVERY = 30.0
_CHUNK = 500


async def sweep_for_ever(
    broker: Broker, results: ResultStore | None, clock: Clock, rng: random.Random, stats: Stats
) -> None:
    """Sweep and prune until cancelled. ``results`` are the broker's own, or those of another store."""
    patience = Patience("sweeping", clock, rng)
    prune_at = clock.monotonic() + rng.uniform(0.0, PRUNE_EVERY)
    while True:
        await clock.sleep(rng.uniform(EVERY / 2, EVERY * 1.5))
        try:
            await _sweep(broker, stats)
            if clock.monotonic() >= prune_at:
                prune_at = clock.monotonic() + PRUNE_EVERY
                await _prune(broker, results)
            patience.success()
        except BrokerError as error:
            await patience.pause(error)


async def _sweep(broker: Broker, stats: Stats) -> None:
    more = True
    while more:
        swept = await broker.sweep(limit=_CHUNK)
        more = swept.more
        stats.recovered += len(swept.lost)
        for session in swept.sessions:
            _log.warning("session %s is dead and was reaped", session)
        if swept.lost:
            _log.warning("%d deliveries of dead sessions are handed out again", len(swept.lost))


async def _prune(broker: Broker, results: ResultStore | None) -> None:
    for store in dict.fromkeys((broker.results, results)):
        while store is not None and await store.prune(limit=_CHUNK) == _CHUNK:
            pass
    if broker.dead_letters is not None:
        while await broker.dead_letters.purge(older_than=DEAD_LETTER_TTL, limit=_CHUNK) == _CHUNK:
            pass
