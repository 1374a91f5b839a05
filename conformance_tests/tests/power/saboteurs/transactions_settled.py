"""Faults in settling in a transaction that the task writes in."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from orcastra_conformance import BrokerHarness
from orcastra_core.backends.memory import handover
from orcastra_core.interfaces.transaction import SettlingTransaction
from orcastra_core.model.delivery import Delivery
from orcastra_core.model.errors import BrokerUnavailable, InvalidOption
from orcastra_core.model.names import SessionId
from orcastra_core.model.settlement import STALE, Complete, Done, Failed, Settled, Settlement
from power.saboteur import Spoil, saboteur
from power.transacted import Harness, Settling, TransactedBroker, TransactedSession
from power.transacted_spoiling import Committed, committing
from power.transacted_store import Connection


@saboteur(
    "writes-at-once",
    "commits each row as the task writes it",
    killed_by=(
        "tx.settle-together",
        "tx.settle-failed",
        "tx.abandon",
        "tx.settle-reaped",
        "tx.settle-broken-rule",
        "tx.settle-cut",
        "tx.leave",
        "tx.close",
        "tx.worker",
    ),
)
def _(patch: pytest.MonkeyPatch) -> BrokerHarness:
    patch.setattr(Connection, "add", lambda self, row: self.database.rows.append(row))
    return Harness()


def _no_rows(transaction: Settling, _: Settlement, commit: Callable[[], Committed]) -> Committed:
    transaction.connection._rows.clear()
    return commit()


saboteur(
    "settles-without-rows",
    "settles, and rolls the task's rows back",
    killed_by=("tx.settle-together", "tx.settle-many", "tx.worker"),
)(committing(_no_rows))


def _rows_alone(transaction: Settling, settlement: Settlement, commit: Callable[[], Committed]) -> Committed:
    if isinstance(settlement, Complete) and settlement.emit:
        transaction.connection.commit()
        return Done()
    return commit()


saboteur(
    "rows-without-settling",
    "commits the rows, and leaves the settlement to who comes later",
    killed_by=("tx.settle-together", "tx.settle-repeated"),
)(committing(_rows_alone))


@saboteur("answers-once", "answers STALE to a repeat of the settle", killed_by=("tx.settle-repeated",))
def _(patch: pytest.MonkeyPatch) -> BrokerHarness:
    settle = Settling.settle

    async def forgetful(self: Settling, settlement: Settlement, /) -> Settled:
        before = self.answer
        answer = await settle(self, settlement)
        return answer if before is None else STALE

    patch.setattr(Settling, "settle", forgetful)
    return Harness()


@saboteur(
    "abandons-what-it-settled",
    "takes the row back in an abandon that comes after the settle",
    killed_by=("tx.settle-repeated",),
)
def _(patch: pytest.MonkeyPatch) -> BrokerHarness:
    abandon = Settling.abandon

    async def undoing(self: Settling) -> None:
        if isinstance(self.answer, Done):
            self.connection.database.rows.pop()
        await abandon(self)

    patch.setattr(Settling, "abandon", undoing)
    return Harness()


def _completions(_: Settling, settlement: Settlement, commit: Callable[[], Committed]) -> Committed:
    if not isinstance(settlement, Complete):
        return Failed(InvalidOption("only completions"))
    return commit()


saboteur(
    "only-completes-within",
    "settles nothing but completions in a transaction",
    killed_by=("tx.settle-every-kind",),
)(committing(_completions))


def _rows_of(kind: Callable[[Committed], bool]) -> Spoil:
    """Have the rows committed also where the settlement was answered so."""

    def careless(transaction: Settling, _: Settlement, commit: Callable[[], Committed]) -> Committed:
        rows = list(transaction.connection._rows)
        answer = commit()
        if kind(answer):
            transaction.connection.database.rows += rows
        return answer

    return committing(careless)


saboteur("rows-of-failed", "commits the rows though the settlement failed", killed_by=("tx.settle-failed",))(
    _rows_of(lambda answer: isinstance(answer, Failed))
)
saboteur(
    "rows-of-stale",
    "commits the rows though the settlement came too late",
    killed_by=("tx.settle-reaped", "tx.settle-beside"),
)(_rows_of(lambda answer: answer is STALE))


@saboteur("abandon-releases", "hands the delivery back when its transaction is abandoned", killed_by=("tx.abandon",))
def _(patch: pytest.MonkeyPatch) -> BrokerHarness:
    abandon = Settling.abandon

    async def releasing(self: Settling) -> None:
        await abandon(self)
        state = self.session._state
        handover.hand_back(state.held.values(), self.session._store)
        state.held.clear()

    patch.setattr(Settling, "abandon", releasing)
    return Harness()


@saboteur("abandon-fails", "fails to abandon what the server has rolled back already", killed_by=("tx.abandon",))
def _(patch: pytest.MonkeyPatch) -> BrokerHarness:
    abandon = Settling.abandon

    async def failing(self: Settling) -> None:
        await abandon(self)
        if self.connection.cut:
            raise BrokerUnavailable("the connection is lost")

    patch.setattr(Settling, "abandon", failing)
    return Harness()


@saboteur(
    "no-reap-in-a-transaction", "cannot reap a session that has a transaction open", killed_by=("tx.settle-reaped",)
)
def _(patch: pytest.MonkeyPatch) -> BrokerHarness:
    expire = TransactedBroker.expire
    begun: list[Settling] = []
    init = Settling.__init__

    def noted(self: Settling, session: TransactedSession) -> None:
        init(self, session)
        begun.append(self)

    async def locked_out(self: TransactedBroker, session: SessionId, /) -> int:
        if any(one.session.id == session and one.answer is None for one in begun):
            return 0
        return await expire(self, session)

    patch.setattr(Settling, "__init__", noted)
    patch.setattr(TransactedBroker, "expire", locked_out)
    return Harness()


def _commits_in(patch: pytest.MonkeyPatch, owner: type, name: str, open_: Callable[[object], list[Settling]]) -> None:
    call = getattr(owner, name)

    async def committing(self: object) -> None:
        for transaction in open_(self):
            transaction.connection.commit()
        await call(self)

    patch.setattr(owner, name, committing)


@saboteur("leave-commits", "commits the rows of open transactions when their session leaves", killed_by=("tx.leave",))
def _(patch: pytest.MonkeyPatch) -> BrokerHarness:
    def of_session(session: object) -> list[Settling]:
        assert isinstance(session, TransactedSession)
        return [one for one in session.broker.begun if one.session is session]

    _commits_in(patch, TransactedSession, "leave", of_session)
    return Harness()


@saboteur("close-commits", "commits the rows of open transactions when it is closed", killed_by=("tx.close",))
def _(patch: pytest.MonkeyPatch) -> BrokerHarness:
    def of_broker(broker: object) -> list[Settling]:
        assert isinstance(broker, TransactedBroker)
        return list(broker.begun)

    _commits_in(patch, TransactedBroker, "close", of_broker)
    return Harness()


@saboteur(
    "no-connection-free",
    "fails where all connections for transactions are taken, instead of waiting for one",
    killed_by=("tx.settle-many",),
)
def _(patch: pytest.MonkeyPatch) -> BrokerHarness:
    begin = TransactedSession.transaction

    async def impatient(self: TransactedSession, delivery: Delivery, /) -> SettlingTransaction:
        if self.broker.free.locked():
            raise BrokerUnavailable("too many connections")
        return await begin(self, delivery)

    patch.setattr(TransactedSession, "transaction", impatient)
    return Harness()


def _drops_published(transaction: Settling, _: Settlement, commit: Callable[[], Committed]) -> Committed:
    transaction.connection._staged.clear()
    return commit()


saboteur(
    "drops-what-a-task-publishes",
    "loses what was published within the transaction that it settles in",
    killed_by=("tx.settle-publishes",),
)(committing(_drops_published))
