"""The reference broker behind a socket, with transactions that tasks are settled in: for what a lost connection leaves in doubt."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, ClassVar

import attrs

from orcastra_conformance import Rows, Unproven
from orcastra_core.backends.memory import settling
from orcastra_core.interfaces.broker import Broker
from orcastra_core.interfaces.transaction import SettlingTransaction
from orcastra_core.model.broker_url import BrokerUrl
from orcastra_core.model.delivery import Delivery
from orcastra_core.model.errors import BrokerClosed, BrokerError, SessionFenced, TransactionRolledBack
from orcastra_core.model.names import DomainName, SessionId
from orcastra_core.model.profile import Cap, Profile
from orcastra_core.model.settlement import Done, Settled, Settlement
from power.served import harness as served
from power.served.broker import ServedBroker
from power.served.domain import Domain
from power.served.seat import Seat
from power.served.server import Connection, Server
from power.served.session import ServedSession
from power.served.talk import Line


class TransactedDomain(Domain):
    """A domain, and rows beside its tasks.

    Attributes:
        rows: Those that were committed.
        open: By transaction, the rows that it has written.
        ends: By transaction, what it was settled with; None if it was rolled back.
    """

    def __init__(self, server: str, name: DomainName) -> None:
        super().__init__(server, name)
        self.rows: list[str] = []
        self.open: dict[str, list[str]] = {}
        self.broken: set[str] = set()
        self.ends: dict[str, Settled | None] = {}
        self.homes: dict[str, TransactedConnection] = {}

    async def begin(self, home: TransactedConnection, token: str, session: SessionId) -> None:
        if session not in self.store.sessions:
            raise SessionFenced(f"session {session} was reaped; open a new one")
        self.open[token], self.homes[token] = [], home

    async def add(self, _: TransactedConnection, token: str, row: str) -> None:
        self.open[token].append(row)

    async def break_rule(self, _: TransactedConnection, token: str) -> None:
        self.broken.add(token)

    async def settle(self, _: TransactedConnection, token: str, session: SessionId, settlement: Settlement) -> Settled:
        """Do both, or neither, and remember which."""
        if token not in self.open:
            raise TransactionRolledBack("no such transaction", retryable=True)
        if token in self.broken:
            self.over(token, None)
            raise TransactionRolledBack("a deferred constraint does not hold") from ValueError("constraint")
        with self.store.lock:
            answer = settle_one(self.seat(session), settlement)
            if isinstance(answer, Done):
                self.rows += self.open[token]
        self.over(token, answer)
        return answer

    async def outcome(self, _: TransactedConnection, token: str) -> Settled | None:
        """Return what became of a transaction; one that is not over is rolled back."""
        if token in self.open:
            self.over(token, None)
        return self.ends.get(token)

    async def cut(self, _: TransactedConnection, token: str) -> None:
        home = self.homes[token]
        assert home.transport is not None
        home.transport.abort()
        self.over(token, None)

    async def seen(self, _: TransactedConnection) -> list[str]:
        return list(self.rows)

    def over(self, token: str, answer: Settled | None) -> None:
        """End a transaction."""
        self.open.pop(token, None)
        self.ends[token] = answer


def settle_one(seat: Seat, settlement: Settlement) -> Settled:
    """Settle outside of the numbers."""
    session = seat._session
    state = session._state
    number, answers = state.last_number, dict(state.answers)
    (answer,) = settling.settle(session._store, state, [settlement], number + 1)
    state.last_number, state.answers = number, {} if state.fenced else answers
    return answer


class TransactedConnection(Connection):
    """Its transactions end with it."""

    async def _do(self, operation: str, args: Any, kwargs: Any) -> Any:
        target, _, method = operation.partition(".")
        if target == "transactions":
            return await getattr(self.domain, method)(self, *args)
        return await super()._do(operation, args, kwargs)

    def connection_lost(self, exc: Exception | None) -> None:
        if isinstance(self.domain, TransactedDomain):
            for token in [token for token in self.domain.open if self.domain.homes[token] is self]:
                self.domain.over(token, None)
        super().connection_lost(exc)


class TransactedServer(Server):
    async def _listen(self) -> None:
        self._listener = await self._loop.create_server(lambda: TransactedConnection(self), *self.address)
        self.address = self._listener.sockets[0].getsockname()[:2]

    def domain(self, name: DomainName) -> Domain:
        if name not in self._domains:
            self._domains[name] = TransactedDomain(self._name, name)
        return self._domains[name]


@attrs.frozen
class Client:
    """What a task writes through: a line of its own, and the name of the transaction that is open on it."""

    line: Line
    token: str


class ServedSettling(SettlingTransaction):
    """Asks by the transaction's name, on another line, what became of it."""

    def __init__(self, session: TransactedServedSession, client: Client) -> None:
        self.connection: Client = client
        self._session = session
        self._in_doubt = False
        self._end: Settled | TransactionRolledBack | None = None

    async def settle(self, settlement: Settlement, /) -> Settled:
        self._session._check()
        if self._end is None:
            try:
                answer = await (self.ask() if self._in_doubt else self.tell(settlement))
            except TransactionRolledBack as error:
                error.__cause__ = error.__cause__ or ConnectionError(str(error))
                self._end = error
            else:
                self._end = answer
            self._session.begun.discard(self)
            await self.connection.line.closed()
        if isinstance(self._end, TransactionRolledBack):
            raise self._end
        return self._end

    async def tell(self, settlement: Settlement) -> Settled:
        """Commit; until there is an answer nobody knows whether it was."""
        self._in_doubt = True
        line, token = self.connection.line, self.connection.token
        return await line.call("transactions.settle", token, self._session.id, settlement)

    async def ask(self) -> Settled:
        """Return what became of the commit."""
        answer: Settled | None = await self._session.ask("transactions.outcome", self.connection.token)
        if answer is None:
            raise TransactionRolledBack("its connection was lost before the commit", retryable=True)
        return answer

    async def abandon(self) -> None:
        self._session.begun.discard(self)
        self._end = self._end or TransactionRolledBack("it was abandoned")
        await self.connection.line.closed()
        try:
            await self._session.ask("transactions.outcome", self.connection.token)  # it is over there, too
        except BrokerError:
            pass  # it is rolled back without us


class TransactedServedSession(ServedSession):
    begun: set[ServedSettling]

    async def transaction(self, delivery: Delivery, /) -> SettlingTransaction:
        self._check()
        if self._line._closed:
            raise BrokerClosed("the broker was closed")
        line = Line(self._line._address, self._line._domain, self._line._timeout)
        client = Client(line, secrets.token_hex(8))
        try:
            await line.call("transactions.begin", client.token, self.id)
            self._check()
        except BaseException:
            line.close()
            raise
        transaction = ServedSettling(self, client)
        self.begun.add(transaction)
        return transaction

    async def ask(self, operation: str, *args: object) -> Any:
        """Ask on the session's own line."""
        return await self._line.call(operation, *args)

    async def leave(self) -> None:
        for transaction in list(self.begun):
            await transaction.abandon()
        await super().leave()

    async def fall_silent(self) -> None:
        for transaction in list(self.begun):
            await transaction.connection.line.closed()
        await super().fall_silent()


class TransactedServedBroker(ServedBroker):
    claims: ClassVar[frozenset[Cap]] = ServedBroker.claims | {Cap.TX_COMPLETE}
    kind: ClassVar[type[ServedSession]] = TransactedServedSession

    async def open(self) -> Profile:
        profile = await super().open()
        return attrs.evolve(profile, capabilities=profile.capabilities | {Cap.TX_COMPLETE})

    async def open_session(self, queues: Sequence[Any], /, *, lease: float) -> ServedSession:
        session = await super().open_session(queues, lease=lease)
        assert isinstance(session, TransactedServedSession)
        session.begun = set()
        return session


class Table(Rows):
    clients: Sequence[str] = ()

    def __init__(self, line: Line) -> None:
        self._line = line

    def transaction(self, client: str) -> AbstractAsyncContextManager[Any]:
        raise Unproven("callers have no transactions here")

    idle = transaction

    async def add(self, connection: Client, row: str) -> None:
        await connection.line.call("transactions.add", connection.token, row)

    async def seen(self) -> Sequence[str]:
        seen: list[str] = await self._line.call("transactions.seen")
        return seen

    async def break_rule(self, connection: Client) -> None:
        await connection.line.call("transactions.break_rule", connection.token)

    async def cut(self, connection: Client) -> None:
        await self._line.call("transactions.cut", connection.token)


class Harness(served.Harness):
    """That of the served broker, with rows."""

    name = "served-transacted"

    def __init__(self, timeout: float = 1.0) -> None:
        super().__init__(timeout)
        self._server = TransactedServer()

    @staticmethod
    def dial(url: str) -> Broker:
        return TransactedServedBroker(BrokerUrl.parse(url))

    @asynccontextmanager
    async def rows(self, domain: str) -> AsyncIterator[Rows]:
        line = Line(self.address(), DomainName(domain))
        try:
            yield Table(line)
        finally:
            await line.closed()
