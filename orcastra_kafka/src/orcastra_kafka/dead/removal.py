"""Taking letters away, and putting something else in their place, in one step and one after the other."""

from __future__ import annotations

import asyncio
import random
import secrets
from collections.abc import Callable, Sequence

from orcastra_core.model.errors import BrokerClosed, BrokerUnavailable
from orcastra_core.model.ids import TaskId
from orcastra_kafka.core import Core
from orcastra_kafka.dead.letters import removal
from orcastra_kafka.dead.scan import Scan, read_on
from orcastra_kafka.logs import Entry
from orcastra_kafka.patience import pause
from orcastra_kafka.producer import Record
from orcastra_kafka.settings import CODECS
from orcastra_kafka.share.metadata import TopicFacts
from orcastra_kafka.transaction import Fenced, Transactions

_TRIES = 50
_PAUSE = 0.05


class Removals:
    """Changes of one core's dead letters.

    A partition has one writer at a time: who begins fences whoever was in the middle, reads to the end, and commits what
    follows from it in one transaction. So a letter is taken away once, however many want to.
    """

    def __init__(self, core: Core) -> None:
        self.core = core
        self._turns: dict[int, asyncio.Lock] = {}

    async def remove(
        self,
        topic: TopicFacts,
        partition: int,
        scan: Scan,
        *,
        limit: int,
        instead: Callable[[TaskId, Entry], Sequence[Record] | None],
    ) -> set[TaskId]:
        """Take the letters of a partition away that a scan finds there; return their ids.

        Args:
            topic: Of the dead letters.
            partition: Of it.
            scan: An empty one.
            limit: At most so many.
            instead: Called for each letter: what is written together with its removal; None: it stays.

        Raises:
            BrokerError, KafkaError, OSError, TimeoutError: It may have taken place.
        """
        mine = secrets.token_bytes(8)
        transactions = Transactions(
            self.core.cluster,
            f"{self.core.names.dead}.{partition}",
            timeout=self.core.settings.timeout,
            codec=CODECS[self.core.settings.compression],
        )
        async with self._turns.setdefault(partition, asyncio.Lock()):
            # most of it is read before anybody is fenced
            at = await read_on(self.core, topic, partition, 0, scan)
            for _ in range(_TRIES):
                done = scan.removed(mine)
                if done or not scan.letters():
                    return done
                if self.core.closed:
                    raise BrokerClosed("the broker was closed")
                try:
                    await transactions.begin()
                    at = await read_on(self.core, topic, partition, at, scan, certain=True)
                    if done := scan.removed(mine):
                        return done
                    gone, records = self._plan(scan, limit, instead, mine)
                    if records:
                        await self.core.topics.ensure({record.topic for record in records})
                        await transactions.commit(records)
                    return gone
                except Fenced:
                    await pause(random.uniform(0, _PAUSE))
                    at = await read_on(self.core, topic, partition, at, scan)
        raise BrokerUnavailable(f"{self.core.where}: others change the dead letters all the time")

    def _plan(
        self, scan: Scan, limit: int, instead: Callable[[TaskId, Entry], Sequence[Record] | None], mine: bytes
    ) -> tuple[set[TaskId], list[Record]]:
        gone: set[TaskId] = set()
        records: list[Record] = []
        for task_id, entry in scan.letters():
            if len(gone) >= limit:
                break
            more = instead(task_id, entry)
            if more is not None:
                gone.add(task_id)
                records += [*more, removal(self.core.names, task_id, mine)]
        return gone, records
