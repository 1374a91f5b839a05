"""Transactions for a broker that has none: rows are a list, and a commit can go wrong in every way."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import attrs

from core_doubles.faulty import FaultyBroker, FaultySession
from orcastra_core.interfaces.session import Session
from orcastra_core.interfaces.transaction import SettlingTransaction
from orcastra_core.model.delivery import Delivery
from orcastra_core.model.envelope import Envelope
from orcastra_core.model.errors import BrokerUnavailable, TransactionRolledBack
from orcastra_core.model.names import QueueName
from orcastra_core.model.profile import Cap, Profile
from orcastra_core.model.published import Published
from orcastra_core.model.settlement import Done, Settled, Settlement


class TransactedBroker(FaultyBroker):
    """Its ``rows`` are what tasks have committed; ``commits`` tells what is to go wrong, in order.

    ``broken`` and ``lost``: rolled back, for good or retryable. ``unknown``, ``unheard``: no answer, before or after it
    took effect. ``stale``: the session was reaped.
    """

    def __init__(self, broker: Any) -> None:
        super().__init__(broker)
        self.rows: list[Any] = []
        self.commits: list[str] = []
        self.abandoned = 0
        self.number = 1000

    async def open(self) -> Profile:
        profile = await super().open()
        return attrs.evolve(profile, capabilities=profile.capabilities | {Cap.TX_PUBLISH, Cap.TX_COMPLETE})

    async def publish_within(
        self, transaction: object, batch: Sequence[Envelope], /, *, events: Sequence[bytes] = ()
    ) -> Sequence[Published]:
        assert isinstance(transaction, list)
        transaction.append([envelope.task for envelope in batch])
        return await self.publish(batch, events=events)

    async def open_session(self, queues: Sequence[QueueName], /, *, lease: float) -> Session:
        return TransactedSession(self, await self.real.open_session(queues, lease=lease))


class TransactedSession(FaultySession):
    async def transaction(self, delivery: Delivery, /) -> SettlingTransaction:
        assert isinstance(self._broker, TransactedBroker)
        return Transaction(self._broker, self.real)


class Transaction(SettlingTransaction):
    def __init__(self, broker: TransactedBroker, session: Session) -> None:
        self.connection: list[Any] = []
        self._broker = broker
        self._session = session
        self._answer: Settled | None = None

    async def settle(self, settlement: Settlement, /) -> Settled:
        fault = self._broker.commits.pop(0) if self._broker.commits else ""
        if fault in ("broken", "lost"):
            raise TransactionRolledBack(f"the commit is {fault}", retryable=fault == "lost")
        if fault == "unknown":
            raise BrokerUnavailable("no answer")
        if self._answer is None:
            if fault == "stale":
                self._broker.number += 1
                await self._session.settle([settlement], number=self._broker.number)
            self._broker.number += 1
            (self._answer,) = await self._session.settle([settlement], number=self._broker.number)
            if isinstance(self._answer, Done):
                self._broker.rows += self.connection
        if fault == "unheard":
            raise BrokerUnavailable("no answer")
        return self._answer

    async def abandon(self) -> None:
        self._broker.abandoned += 1
