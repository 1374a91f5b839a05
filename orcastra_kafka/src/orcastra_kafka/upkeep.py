"""Cutting off what is done: the logs of queues have no retention of their own, for no task may be thrown away; nor has that of events."""

from __future__ import annotations

import logging
import random
from collections.abc import Mapping

from orcastra_core.model.errors import BrokerError
from orcastra_kafka import logs
from orcastra_kafka.core import Core
from orcastra_kafka.errors import CLIENT_ERRORS
from orcastra_kafka.protocol.log import EARLIEST, LATEST
from orcastra_kafka.share.errors import DENIED
from orcastra_kafka.standing import Queue, committed, offsets, queues_of, shared

_log = logging.getLogger("orcastra.kafka")

_EVERY = 60.0
"""Seconds between two times, about: of many workers any will do."""


class Upkeep:
    """Now and then has the brokers drop what a queue's group is done with, up to the first task that is not, and old events."""

    def __init__(self) -> None:
        self._core: Core | None = None
        self._next = 0.0

    async def tend(self, core: Core) -> None:
        """Do it if it is time. What fails is tried again the next time."""
        now = core.loop.time()
        if core is not self._core:
            self._core, self._next = core, now + random.uniform(0.5, 1.5) * _EVERY
        if now < self._next:
            return
        self._next = now + random.uniform(0.5, 1.5) * _EVERY
        try:
            await trim(core)
        except (BrokerError, *CLIENT_ERRORS) as error:
            if getattr(error, "code", None) in DENIED:
                _log.warning(
                    "what is done stays in its topics: %s; allow Delete on topics that begin with %s",
                    error,
                    core.names.prefix,
                )
                self._next = float("inf")
            else:
                _log.debug("what is done was not cut off: %s", error)


async def trim(core: Core) -> int:
    """Cut off what is done, and old events; return how many offsets of queues that were. Raises BrokerError, KafkaError, OSError or TimeoutError."""
    cut = 0
    for queue in queues_of(core, (await core.cluster.metadata(None)).topics).values():
        for level, starts in (await _starts(core, queue)).items():
            facts = queue.levels[level]
            known = {number: start for number, start in starts.items() if start > 0}
            if known:
                first = await offsets(core, facts, list(known), EARLIEST)
                behind = {number: start for number, start in known.items() if start > first[number]}
                await logs.cut(core, facts, behind)
                cut += sum(start - first[number] for number, start in behind.items())
    topic = await logs.find(core, core.names.events)
    if topic is not None:
        (first_event,), (end,) = [(await offsets(core, topic, [0], time)).values() for time in (EARLIEST, LATEST)]
        if end - first_event > core.settings.events_max:
            await logs.cut(core, topic, {0: end - core.settings.events_max})
    return cut


async def _starts(core: Core, queue: Queue) -> Mapping[str, Mapping[int, int]]:
    """Return the offsets before which everything is done; -1 where that is not known."""
    if core.settings.lane == "classic":
        words = await committed(core, queue)
        return {level: {number: offset for number, (offset, _) in some.items()} for level, some in words.items()}
    progress = await shared(core, queue)
    return {
        level: {number: -1 if one.error else one.start for number, one in some.items()}
        for level, some in progress.items()
    }
