"""A database in memory beside the tasks: connections, transactions, rows, and what waits for whom."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from typing import Any, TypeAlias

from orcastra_conformance import Rows
from orcastra_conformance.engine.steps import turns
from orcastra_core.backends.memory import intake
from orcastra_core.backends.memory.settings import LIMITS
from orcastra_core.backends.memory.store import Store
from orcastra_core.model.envelope import Envelope
from orcastra_core.model.errors import BrokerUnavailable
from orcastra_core.model.ids import TaskId
from orcastra_core.model.published import STORED, Duplicate, Published, Refused

CLIENTS = ("plain", "wrapped")

Lock: TypeAlias = tuple[str, ...]
"""What a transaction keeps from others until it is over: a task's id, or a queue's dedup key."""


class BrokenRule(Exception):  # noqa: N818 - a client library's, not ours
    """A deferred constraint does not hold."""


class LostConnection(Exception):  # noqa: N818 - a client library's, not ours
    """The server ended the connection."""


async def round_trip() -> None:
    """Take the steps of an event loop that a call over a network would."""
    await turns(2)


class Database:
    """What is committed, and what open transactions keep from others.

    Attributes:
        store: The domain's tasks.
        rows: Those that were committed.
        locks: Who has them, and for which task.
    """

    def __init__(self, store: Store) -> None:
        self.store = store
        self.rows: list[str] = []
        self.locks: dict[Lock, tuple[Connection, TaskId]] = {}

    async def clear(self, envelopes: Iterable[Envelope], mine: Connection | None = None) -> None:
        """Wait until no other transaction has taken what these would take."""
        locks = [lock for envelope in envelopes for lock in locks_of(envelope)]
        while others := [self.locks[lock][0] for lock in locks if lock in self.locks]:
            strangers = [other for other in others if other is not mine]
            if not strangers:
                return
            await strangers[0].over.wait()


class Connection:
    """A connection. What its transaction wrote is kept here until it commits.

    Attributes:
        over: Set while no transaction is open.
    """

    def __init__(self, database: Database) -> None:
        self.database = database
        self.over = asyncio.Event()
        self.over.set()
        self.cut = False
        self._forget()

    def begin(self) -> None:
        """Begin a transaction."""
        self._forget()
        self.over.clear()

    async def stage(self, envelope: Envelope, event: bytes) -> Published:
        """Publish in the transaction: answer now what the commit will do."""
        database = self.database
        await database.clear([envelope], self)
        self.check()
        for lock in locks_of(envelope):
            if lock in database.locks:
                return Duplicate(database.locks[lock][1])
        answer = judge(database.store, envelope)
        if answer is STORED:
            database.locks.update(dict.fromkeys(locks_of(envelope), (self, envelope.id)))
            self._staged.append((envelope, event))
        return answer

    def add(self, row: str) -> None:
        """Write a row in the transaction."""
        self.check()
        self._rows.append(row)

    def break_rule(self) -> None:
        """Write what the commit will not allow."""
        self._broken = True

    def check(self) -> None:
        """Raise unless the server still has the connection."""
        if self.cut:
            raise LostConnection("server closed the connection unexpectedly")

    def check_rules(self) -> None:
        """Raise if the transaction cannot be committed; it is rolled back then."""
        try:
            self.check()
            if self._broken:
                raise BrokenRule("a deferred constraint does not hold")
        except Exception:
            self.roll_back()
            raise

    def commit(self) -> None:
        """Make all of it visible at once."""
        self.check_rules()
        store = self.database.store
        with store.lock:
            intake.admit(store, [envelope for envelope, _ in self._staged])
            store.events.extend([event for _, event in self._staged if event])
            self.database.rows += self._rows
        self._end()

    def roll_back(self) -> None:
        """Forget all of it."""
        self._end()

    def lose(self) -> None:
        """End the connection, as the server may."""
        self.cut = True
        self.roll_back()

    def _end(self) -> None:
        locks = self.database.locks
        for lock in [lock for lock, (owner, _) in locks.items() if owner is self]:
            del locks[lock]
        self._forget()
        self.over.set()

    def _forget(self) -> None:
        self._rows: list[str] = []
        self._staged: list[tuple[Envelope, bytes]] = []
        self._broken = False


class Wrapped:
    """Another client library's connection."""

    def __init__(self, connection: Connection) -> None:
        self.raw = connection


def raw(connection: object) -> Connection | None:
    """Return what is behind a connection of either client library, or None."""
    if isinstance(connection, Wrapped):
        return connection.raw
    return connection if isinstance(connection, Connection) else None


def locks_of(envelope: Envelope) -> list[Lock]:
    """Return what publishing an envelope takes."""
    locks: list[Lock] = [("id", envelope.id)]
    if envelope.dedup is not None:
        locks.append(("key", envelope.queue, envelope.dedup.key))
    return locks


def judge(store: Store, envelope: Envelope) -> Published:
    """Answer as a publish would, and store nothing."""
    with store.lock:
        if envelope.id in store.ledger.known or envelope.id in store.dead:
            return Duplicate(envelope.id)
        if len(envelope.body) > LIMITS.max_body:
            return Refused(f"the body has {len(envelope.body)} bytes; at most {LIMITS.max_body} are taken")
        if (refused := intake._refusal(store, envelope)) is not None:
            return refused
        if envelope.dedup is not None:
            store.windows.free_ended(store.clock.monotonic())
            holder = store.queue(envelope.queue).holds.get(envelope.dedup.key)
            if holder is not None and holder.id != envelope.id:
                return Duplicate(holder.id)
        return STORED


class Table(Rows):
    """The rows of one database."""

    clients: Sequence[str] = CLIENTS

    def __init__(self, database: Database) -> None:
        self._database = database

    @asynccontextmanager
    async def transaction(self, client: str) -> AsyncIterator[Any]:
        async with self.idle(client) as connection:
            inner = known(connection)
            inner.begin()
            try:
                yield connection
            except BaseException:
                inner.roll_back()
                raise
            inner.commit()

    @asynccontextmanager
    async def idle(self, client: str) -> AsyncIterator[Any]:
        connection = Connection(self._database)
        yield Wrapped(connection) if client == "wrapped" else connection

    async def add(self, connection: Any, row: str) -> None:
        known(connection).add(row)

    async def seen(self) -> Sequence[str]:
        return list(self._database.rows)

    async def break_rule(self, connection: Any) -> None:
        known(connection).break_rule()

    async def cut(self, connection: Any) -> None:
        known(connection).lose()


def known(connection: object) -> Connection:
    """Return what is behind a connection that must be one."""
    found = raw(connection)
    if found is None:
        raise TypeError(f"{connection!r} is no connection")
    return found


def lost(error: LostConnection) -> BrokerUnavailable:
    """Return a client library's error as the broker's."""
    raised = BrokerUnavailable(str(error))
    raised.__cause__ = error
    return raised
