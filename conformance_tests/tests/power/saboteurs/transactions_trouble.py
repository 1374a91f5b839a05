"""Faults in settling in a transaction when something goes wrong."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from orcastra_conformance import BrokerHarness
from orcastra_core.interfaces.transaction import SettlingTransaction
from orcastra_core.model.delivery import Delivery
from orcastra_core.model.errors import TransactionRolledBack
from orcastra_core.model.names import SessionId
from orcastra_core.model.settlement import Settled, Settlement
from power import served_transacted, transacted
from power.saboteur import Spoil, saboteur
from power.served_transacted import ServedSettling, TransactedConnection, TransactedDomain
from power.transacted import Harness, Settling, TransactedSession
from power.transacted_spoiling import Committed, committing
from power.transacted_store import BrokenRule, LostConnection, round_trip


def _rolled_back(*, retryable: bool) -> Spoil:
    def spoil(patch: pytest.MonkeyPatch) -> BrokerHarness:
        rolled_back = transacted.rolled_back

        def flat(error: BrokenRule | LostConnection) -> TransactionRolledBack:
            raised = rolled_back(error)
            raised.retryable = retryable
            return raised

        patch.setattr(transacted, "rolled_back", flat)
        return Harness()

    return spoil


saboteur(
    "broken-rules-retryable",
    "says that a row which breaks a constraint is worth another try",
    killed_by=("tx.settle-broken-rule",),
)(_rolled_back(retryable=True))
saboteur("cuts-for-good", "says that a lost connection is the task's fault", killed_by=("tx.settle-cut",))(
    _rolled_back(retryable=False)
)


def _settles_anyway(transaction: Settling, settlement: Settlement, commit: Callable[[], Committed]) -> Committed:
    answer = commit()
    if isinstance(answer, TransactionRolledBack):
        transaction.session.settle_one(settlement)
    return answer


saboteur(
    "settles-what-rolled-back",
    "settles on another connection than the task writes on",
    killed_by=("tx.settle-broken-rule", "tx.settle-cut"),
)(committing(_settles_anyway))


@saboteur(
    "cancelled-keeps-its-connection",
    "does not give back the connection that a cancelled call was about to get",
    killed_by=("tx.transaction-cancelled",),
)
def _(patch: pytest.MonkeyPatch) -> BrokerHarness:
    async def leaking(self: TransactedSession, delivery: Delivery, /) -> SettlingTransaction:
        self.check_life()
        await self.broker.free.acquire()
        await round_trip()
        self.check_life()
        return Settling(self)

    patch.setattr(TransactedSession, "transaction", leaking)
    return Harness()


@saboteur(
    "cancelled-settle-forgets",
    "forgets that a settle it was cancelled in took effect",
    killed_by=("tx.settle-cancelled",),
)
def _(patch: pytest.MonkeyPatch) -> BrokerHarness:
    settle = Settling.settle

    async def forgetful(self: Settling, settlement: Settlement, /) -> Settled:
        try:
            return await settle(self, settlement)
        except asyncio.CancelledError:
            self.answer = None
            raise

    patch.setattr(Settling, "settle", forgetful)
    return Harness()


def _served() -> BrokerHarness:
    harness = served_transacted.Harness(timeout=0.3)
    harness.soon = 0.4
    return harness


@saboteur(
    "takes-silence-for-a-rollback",
    "takes a commit that got no answer for one that was rolled back",
    killed_by=("tx.settle-lost-reply",),
)
def _(patch: pytest.MonkeyPatch) -> BrokerHarness:
    async def guess(self: ServedSettling) -> Settled:
        raise TransactionRolledBack("its connection was lost", retryable=True)

    patch.setattr(ServedSettling, "ask", guess)
    return _served()


@saboteur(
    "settles-again-without-rows",
    "repeats a settle that got no answer on another connection, where the task's rows are not",
    killed_by=("tx.settle-lost-reply",),
)
def _(patch: pytest.MonkeyPatch) -> BrokerHarness:
    settle = ServedSettling.settle

    async def repeating(self: ServedSettling, settlement: Settlement, /) -> Settled:
        if self._in_doubt and self._end is None:
            (self._end,) = await self._session.settle([settlement], number=1_000_000 + id(self))
        return await settle(self, settlement)

    patch.setattr(ServedSettling, "settle", repeating)
    return _served()


@saboteur(
    "commits-in-two-writes",
    "commits the rows in one request, and the settlement in the next",
    killed_by=("tx.settle-lost-reply",),
)
def _(patch: pytest.MonkeyPatch) -> BrokerHarness:
    tell, settle = ServedSettling.tell, TransactedDomain.settle

    async def rows_first(
        self: TransactedDomain, home: TransactedConnection, token: str, session: SessionId, settlement: Settlement
    ) -> Settled | None:
        if self.open.get(token):
            self.rows += self.open[token]
            self.open[token] = []
            return None
        return await settle(self, home, token, session, settlement)

    async def twice(self: ServedSettling, settlement: Settlement) -> Settled:
        await tell(self, settlement)
        return await tell(self, settlement)

    patch.setattr(TransactedDomain, "settle", rows_first)
    patch.setattr(ServedSettling, "tell", twice)
    return _served()
