"""Faults in publishing in the caller's transaction."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

import pytest

from orcastra_conformance import BrokerHarness
from orcastra_core.backends.memory.keys import Hold
from orcastra_core.backends.memory.ledger import Faded
from orcastra_core.backends.memory.store import Store
from orcastra_core.model.envelope import Envelope
from orcastra_core.model.ids import TaskId
from orcastra_core.model.published import STORED, Duplicate, Published, Refused
from orcastra_core.model.task_state import State, TaskState
from power import transacted, transacted_store
from power.saboteur import Spoil, saboteur
from power.spoiling import unheard
from power.transacted import Harness, TransactedBroker
from power.transacted_store import Connection, Wrapped


@saboteur(
    "publishes-outside",
    "publishes on a connection of its own, whatever transaction it is given",
    killed_by=(
        "tx.commit-shows",
        "tx.commit-wakes",
        "tx.rollback-hides",
        "tx.failed-commit-hides",
        "tx.every-client",
        "tx.cut-while-publishing",
        "tx.publish-cancelled",
    ),
)
def _(patch: pytest.MonkeyPatch) -> BrokerHarness:
    within = TransactedBroker.publish_within

    async def outside(
        self: TransactedBroker, transaction: object, batch: Sequence[Envelope], /, *, events: Sequence[bytes] = ()
    ) -> Sequence[Published]:
        await within(self, transaction, [])
        return await self.publish(batch, events=events)

    patch.setattr(TransactedBroker, "publish_within", outside)
    return Harness()


@saboteur("commits-unheard", "wakes nobody when the caller commits", killed_by=("tx.commit-wakes",))
def _(patch: pytest.MonkeyPatch) -> BrokerHarness:
    patch.setattr(Connection, "commit", unheard(Connection.commit))
    return Harness()


@saboteur(
    "tells-too-early",
    "appends the events at once, beside the transaction",
    killed_by=("tx.commit-shows", "tx.rollback-hides"),
)
def _(patch: pytest.MonkeyPatch) -> BrokerHarness:
    stage = Connection.stage

    async def telling(self: Connection, envelope: Envelope, event: bytes) -> Published:
        if event:
            self.database.store.events.extend([event])
        return await stage(self, envelope, b"")

    patch.setattr(Connection, "stage", telling)
    return Harness()


@saboteur("finds-too-early", "finds tasks that nobody has committed yet", killed_by=("tx.commit-shows",))
def _(patch: pytest.MonkeyPatch) -> BrokerHarness:
    find = TransactedBroker.find

    async def dirty(self: TransactedBroker, ids: Sequence[TaskId], /) -> Sequence[TaskState | None]:
        found = await find(self, ids)
        staged = {e.id: e for one, _ in self.database.locks.values() for e, _ in one._staged}
        return [
            TaskState(id=task_id, state=State.READY, envelope=staged[task_id]) if task_id in staged else state
            for task_id, state in zip(ids, found, strict=True)
        ]

    patch.setattr(TransactedBroker, "find", dirty)
    return Harness()


def _remembers(what: Callable[[Store, Envelope], None]) -> Spoil:
    def spoil(patch: pytest.MonkeyPatch) -> BrokerHarness:
        roll_back = Connection.roll_back

        def leaving(self: Connection) -> None:
            for envelope, _ in self._staged:
                what(self.database.store, envelope)
            roll_back(self)

        patch.setattr(Connection, "roll_back", leaving)
        return Harness()

    return spoil


def _an_id(store: Store, envelope: Envelope) -> None:
    store.ledger.known[envelope.id] = Faded([envelope.id], 1e12)


def _a_key(store: Store, envelope: Envelope) -> None:
    if envelope.dedup is not None:
        queue = store.queue(envelope.queue)
        queue.holds[envelope.dedup.key] = Hold(envelope.id, queue, envelope.dedup, None)


saboteur(
    "remembers-rolled-back-ids",
    "keeps the ids of what was rolled back, as if it had been stored",
    killed_by=("tx.rollback-hides", "tx.failed-commit-hides", "tx.publish-cancelled"),
)(_remembers(_an_id))
saboteur(
    "keeps-rolled-back-keys",
    "keeps the dedup keys of what was rolled back",
    killed_by=("tx.rollback-hides", "tx.dedup-waits-for-rollback"),
)(_remembers(_a_key))


@saboteur(
    "commits-in-halves",
    "commits the envelopes first, and the caller's rows in a transaction after it",
    killed_by=("tx.failed-commit-hides",),
)
def _(patch: pytest.MonkeyPatch) -> BrokerHarness:
    commit = Connection.commit

    def halves(self: Connection) -> None:
        broken, rows = self._broken, self._rows
        self._broken, self._rows = False, []
        commit(self)
        self._broken, self._rows = broken, rows
        commit(self)

    patch.setattr(Connection, "commit", halves)
    return Harness()


@saboteur(
    "refusing-poisons",
    "fails a statement for each envelope that it refuses, and so the caller's transaction",
    killed_by=("tx.answers-align",),
)
def _(patch: pytest.MonkeyPatch) -> BrokerHarness:
    stage = Connection.stage

    async def poisonous(self: Connection, envelope: Envelope, event: bytes) -> Published:
        answer = await stage(self, envelope, event)
        self._broken = self._broken or isinstance(answer, Refused)
        return answer

    patch.setattr(Connection, "stage", poisonous)
    return Harness()


def _judging(change: Callable[[Store, Envelope, Published], Published]) -> Spoil:
    def spoil(patch: pytest.MonkeyPatch) -> BrokerHarness:
        judge = transacted_store.judge
        patch.setattr(
            transacted_store, "judge", lambda store, envelope: change(store, envelope, judge(store, envelope))
        )
        return Harness()

    return spoil


saboteur(
    "stores-refused-within",
    "answers Stored within a transaction for what it will not store",
    killed_by=("tx.answers-align",),
)(_judging(lambda _, __, answer: STORED if isinstance(answer, Refused) else answer))
saboteur(
    "forgets-within",
    "answers Stored within a transaction for an id that it knows",
    killed_by=("tx.repeat", "tx.answers-align"),
)(_judging(lambda _, __, answer: STORED if isinstance(answer, Duplicate) else answer))


@saboteur("one-client", "knows the connections of one client library, and claims two", killed_by=("tx.every-client",))
def _(patch: pytest.MonkeyPatch) -> BrokerHarness:
    raw = transacted_store.raw
    patch.setattr(transacted, "raw", lambda given: None if isinstance(given, Wrapped) else raw(given))
    return Harness()


@saboteur(
    "without-a-transaction",
    "publishes for itself where no transaction is open on the connection, as autocommit does",
    killed_by=("tx.no-transaction",),
)
def _(patch: pytest.MonkeyPatch) -> BrokerHarness:
    within = TransactedBroker.publish_within

    async def autocommitting(
        self: TransactedBroker, transaction: object, batch: Sequence[Envelope], /, *, events: Sequence[bytes] = ()
    ) -> Sequence[Published]:
        connection = transacted_store.raw(transaction)
        if connection is not None and connection.over.is_set():
            return await self.publish(batch, events=events)
        return await within(self, transaction, batch, events=events)

    patch.setattr(TransactedBroker, "publish_within", autocommitting)
    return Harness()


@saboteur(
    "takes-any-object",
    "fails with whatever happens when it is given what is no connection",
    killed_by=("tx.no-transaction",),
)
def _(patch: pytest.MonkeyPatch) -> BrokerHarness:
    patch.setattr(transacted, "raw", lambda given: given)
    return Harness()


@saboteur(
    "raw-errors-within",
    "lets the client library's errors through where the connection is the caller's",
    killed_by=("tx.cut-while-publishing",),
)
def _(patch: pytest.MonkeyPatch) -> BrokerHarness:
    patch.setattr(transacted, "lost", lambda error: error)
    return Harness()


@saboteur(
    "cancelled-goes-on",
    "publishes outside of the transaction what it was cancelled in",
    killed_by=("tx.publish-cancelled",),
)
def _(patch: pytest.MonkeyPatch) -> BrokerHarness:
    within = TransactedBroker.publish_within

    async def stubborn(
        self: TransactedBroker, transaction: object, batch: Sequence[Envelope], /, *, events: Sequence[bytes] = ()
    ) -> Sequence[Published]:
        try:
            return await within(self, transaction, batch, events=events)
        except asyncio.CancelledError:
            self.database.locks.clear()
            await self.publish(batch, events=events)
            raise

    patch.setattr(TransactedBroker, "publish_within", stubborn)
    return Harness()


@saboteur(
    "locks-the-queue",
    "lets nobody else publish to a queue while a caller's transaction has",
    killed_by=("tx.holds-nobody-up",),
)
def _(patch: pytest.MonkeyPatch) -> BrokerHarness:
    patch.setattr(transacted_store, "locks_of", lambda envelope: [("queue", envelope.queue)])
    return Harness()
