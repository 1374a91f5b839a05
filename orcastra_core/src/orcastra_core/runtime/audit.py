"""Compares what the store says a session holds with what its worker has."""

from __future__ import annotations

import logging
import random

from orcastra_core.interfaces.clock import Clock
from orcastra_core.model.delivery import Receipt
from orcastra_core.model.errors import BrokerError
from orcastra_core.runtime.executor import Executor
from orcastra_core.runtime.fetcher import Fetcher
from orcastra_core.runtime.patience import Patience
from orcastra_core.runtime.tenure import Tenure

_log = logging.getLogger("orcastra.runtime")


async def audit_for_ever(
    tenure: Tenure, executor: Executor, fetcher: Fetcher, clock: Clock, rng: random.Random
) -> None:
    """Once a lease, find deliveries that are held but neither run nor wait to be settled.

    One look may fall between two steps; what two looks in a row find is disowned,
    so that the next fetch hands it out again.
    """
    patience = Patience("comparing what is held", clock, rng)
    suspects: set[Receipt] = set()
    while True:
        await clock.sleep(tenure.session.lease)
        try:
            before = _known(tenure, executor, fetcher)
            held = await tenure.session.held()
            patience.success()
        except BrokerError as error:
            await patience.pause(error)
            continue
        astray = set(held) - before - _known(tenure, executor, fetcher)
        stranded = astray & suspects
        if stranded:
            _log.warning("%d deliveries were held but not running: they are taken up again", len(stranded))
            tenure.session.disown(sorted(stranded, key=str))
        suspects = astray - stranded


def _known(tenure: Tenure, executor: Executor, fetcher: Fetcher) -> set[Receipt]:
    return executor.receipts(tenure) | tenure.settler.receipts() | fetcher.receipts()
