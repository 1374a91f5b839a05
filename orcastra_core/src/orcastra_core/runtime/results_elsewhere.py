"""Results in another store than the queue: written there first, settled second.

The channel that a result is pushed to belongs to that other store, so it does not travel as the envelope's ``reply``,
which is the queue's own store's business, but as a header.
"""

from __future__ import annotations

from collections.abc import Sequence

import attrs

from orcastra_core.interfaces.results import ResultFeed, ResultStore
from orcastra_core.interfaces.session import Session
from orcastra_core.interfaces.transaction import SettlingTransaction
from orcastra_core.model.delivery import Delivery
from orcastra_core.model.envelope import Envelope
from orcastra_core.model.errors import Unsupported
from orcastra_core.model.ids import TaskId
from orcastra_core.model.profile import Cap
from orcastra_core.model.result import Absence, Result
from orcastra_core.model.settlement import Complete, Dead, Settled, Settlement
from orcastra_core.runtime.passing import PassingSession

REPLY = "x-orcastra_core-reply"
"""The header with the channel."""


class ResultsElsewhere(ResultStore):
    """Another store's results: what it does not know may not have ended yet."""

    def __init__(self, results: ResultStore) -> None:
        self._results = results

    async def put(self, batch: Sequence[tuple[Result, str | None]], /) -> None:
        await self._results.put(batch)

    async def get(self, ids: Sequence[TaskId], /) -> Sequence[Result | Absence]:
        answers = await self._results.get(ids)
        return [Absence.PENDING if answer is Absence.UNKNOWN else answer for answer in answers]

    async def subscribe(self) -> ResultFeed:
        return await self._results.subscribe()

    async def prune(self, *, limit: int) -> int:
        return await self._results.prune(limit=limit)


class ParcellingSession(PassingSession):
    """A session whose results go to another store; all else passes through.

    A crash between the two leaves a result of a task that runs once more, and then writes it anew.

    Args:
        session: The queue's.
        results: Of the other store.
    """

    def __init__(self, session: Session, results: ResultStore) -> None:
        super().__init__(session)
        self._results = results

    async def settle(self, batch: Sequence[Settlement], /, *, number: int) -> Sequence[Settled]:
        ended = [(item.result, _reply(item.delivery)) for item in batch if isinstance(item, Complete | Dead)]
        wanted = [(result, reply) for result, reply in ended if result.ttl > 0 or reply is not None]
        if wanted:
            await self._results.put(wanted)
        return await super().settle([_without_result(item) for item in batch], number=number)

    async def transaction(self, delivery: Delivery, /) -> SettlingTransaction:
        raise Unsupported(Cap.TX_COMPLETE, "results are kept in another store: no transaction reaches both")


def _reply(delivery: Delivery) -> str | None:
    envelope = delivery.envelope
    reply = envelope.headers.get(REPLY) if isinstance(envelope, Envelope) else None
    return reply if isinstance(reply, str) else None


def _without_result(item: Settlement) -> Settlement:
    """Leave the queue's store nothing of the result to keep."""
    return attrs.evolve(item, result=attrs.evolve(item.result, ttl=0.0)) if isinstance(item, Complete | Dead) else item
