"""The reference broker with transactions, in one process: what TX_PUBLISH and TX_COMPLETE are proved on here."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from itertools import repeat
from typing import ClassVar

import attrs

from orcastra_conformance import Rows, ServerFacts
from orcastra_core.backends.memory import conformance, settling
from orcastra_core.backends.memory.broker import MemoryBroker
from orcastra_core.backends.memory.session import MemorySession
from orcastra_core.backends.memory.session_state import SessionState
from orcastra_core.backends.memory.store import Store
from orcastra_core.interfaces.broker import Broker
from orcastra_core.interfaces.clock import Clock
from orcastra_core.interfaces.session import Session
from orcastra_core.interfaces.transaction import SettlingTransaction
from orcastra_core.model.broker_url import BrokerUrl
from orcastra_core.model.delivery import Delivery
from orcastra_core.model.envelope import Envelope
from orcastra_core.model.errors import BrokerClosed, InvalidOption, SessionFenced, TransactionRolledBack, Unsupported
from orcastra_core.model.names import DomainName, QueueName
from orcastra_core.model.profile import Cap, Profile
from orcastra_core.model.published import Published
from orcastra_core.model.settlement import Done, Settled, Settlement
from power.saboteur import SOON
from power.transacted_store import (
    BrokenRule,
    Connection,
    Database,
    LostConnection,
    Table,
    lost,
    raw,
    round_trip,
)

OFFERED = frozenset({Cap.TX_PUBLISH, Cap.TX_COMPLETE})
AT_ONCE = 3
"""Settling transactions that a broker has connections for."""


class TransactedBroker(MemoryBroker):
    """``memory://``, in transactions.

    Attributes:
        database: Shared by the brokers of a domain.
        free: Connections for settling transactions.
        begun: Settling transactions that are not over.
    """

    claims: ClassVar[frozenset[Cap]] = frozenset(Cap)

    def __init__(self, url: BrokerUrl, database: Database, *, clock: Clock) -> None:
        super().__init__(url, clock=clock)
        self.database = database
        self.free = asyncio.Semaphore(AT_ONCE)
        self.begun: set[Settling] = set()

    async def open(self) -> Profile:
        profile = await super().open()
        offered = OFFERED - self._without
        notes = {cap: note for cap, note in profile.notes.items() if cap not in offered}
        return attrs.evolve(profile, capabilities=profile.capabilities | offered, notes=notes)

    async def close(self) -> None:
        for transaction in list(self.begun):
            transaction.end()
        await super().close()

    async def publish(self, batch: Sequence[Envelope], /, *, events: Sequence[bytes] = ()) -> Sequence[Published]:
        self._gate.check()
        await self.database.clear(batch)
        return await super().publish(batch, events=events)

    async def publish_within(
        self, transaction: object, batch: Sequence[Envelope], /, *, events: Sequence[bytes] = ()
    ) -> Sequence[Published]:
        self._check(Cap.TX_PUBLISH)
        connection = raw(transaction)
        if connection is None or (connection.over.is_set() and not connection.cut):
            raise InvalidOption(f"{type(transaction).__name__} is no connection, or no transaction is open on it")
        await round_trip()
        try:
            answers = [
                await connection.stage(envelope, event)
                for envelope, event in zip(batch, events or repeat(b""), strict=False)
            ]
        except LostConnection as error:
            raise lost(error) from error
        await round_trip()
        return answers

    async def open_session(self, queues: Sequence[QueueName], /, *, lease: float) -> Session:
        session = await super().open_session(queues, lease=lease)
        assert isinstance(session, MemorySession)
        return TransactedSession(self, session._store, session._state)

    def _check(self, cap: Cap) -> None:
        if cap in OFFERED and cap in self._without:
            raise Unsupported(cap)
        super()._check(cap)


class TransactedSession(MemorySession):
    def __init__(self, broker: TransactedBroker, store: Store, state: SessionState) -> None:
        super().__init__(store, state)
        self.broker = broker

    async def transaction(self, delivery: Delivery, /) -> SettlingTransaction:
        self.broker._check(Cap.TX_COMPLETE)
        self.check_life()
        await self.broker.free.acquire()
        try:
            await round_trip()
            self.check_life()
        except BaseException:
            self.broker.free.release()
            raise
        transaction = Settling(self)
        try:
            await round_trip()
        except BaseException:
            transaction.end()
            raise
        return transaction

    async def leave(self) -> None:
        for transaction in [one for one in self.broker.begun if one.session is self]:
            transaction.end()
        await super().leave()

    def check_life(self) -> None:
        """Raise unless the session may do something."""
        self._check_open()
        if self._state.fenced:
            raise SessionFenced(f"session {self.id} was reaped; open a new one")

    def settle_one(self, settlement: Settlement) -> Settled:
        """Settle outside of the numbers."""
        state = self._state
        number, answers = state.last_number, dict(state.answers)
        (answer,) = settling.settle(self._store, state, [settlement], number + 1)
        state.last_number, state.answers = number, {} if state.fenced else answers
        return answer


class Settling(SettlingTransaction):
    def __init__(self, session: TransactedSession) -> None:
        self.session = session
        self.connection: Connection = Connection(session.broker.database)
        self.connection.begin()
        self.answer: Settled | TransactionRolledBack | BrokerClosed | None = None
        session.broker.begun.add(self)

    async def settle(self, settlement: Settlement, /) -> Settled:
        await round_trip()
        if self.answer is None:
            self.session._check_open()
            self.answer = self.commit(settlement)
            self.end()
            await round_trip()
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    async def abandon(self) -> None:
        await round_trip()
        self.end()
        await round_trip()

    def commit(self, settlement: Settlement) -> Settled | TransactionRolledBack:
        """Do both, or neither."""
        connection = self.connection
        try:
            connection.check_rules()
        except (BrokenRule, LostConnection) as error:
            return rolled_back(error)
        with self.session._store.lock:
            answer = self.session.settle_one(settlement)
            if isinstance(answer, Done):
                connection.commit()
        return answer

    def end(self) -> None:
        """Roll back what is not committed, and let the connection go."""
        broker = self.session.broker
        if self in broker.begun:
            broker.begun.remove(self)
            broker.free.release()
            if not self.connection.over.is_set():
                self.connection.roll_back()
            if self.answer is None:
                self.answer = BrokerClosed("this transaction was abandoned, or its session has ended")


def rolled_back(error: BrokenRule | LostConnection) -> TransactionRolledBack:
    """Return a client library's error as the broker's."""
    raised = TransactionRolledBack(str(error), retryable=isinstance(error, LostConnection))
    raised.__cause__ = error
    return raised


class Harness(conformance.Harness):
    """That of ``memory://``, with rows."""

    name = "transacted"
    soon = SOON

    def __init__(self, mode: str = "default", *, without: str = "") -> None:
        super().__init__(mode, without=without)
        self._databases: dict[str, Database] = {}

    async def start(self) -> ServerFacts:
        return attrs.evolve(await super().start(), product="memory, with transactions")

    async def broker(self, domain: str) -> Broker:
        anchor = await super().broker(domain)
        assert isinstance(anchor, MemoryBroker)
        database = self._databases.setdefault(domain, Database(anchor._store))
        url = attrs.evolve(self._url, domain=DomainName(domain))
        return TransactedBroker(url, database, clock=self._clock)

    async def wipe(self, domain: str) -> None:
        self._databases.pop(domain, None)
        await super().wipe(domain)

    @asynccontextmanager
    async def rows(self, domain: str) -> AsyncIterator[Rows]:
        yield Table(self._databases[domain])
