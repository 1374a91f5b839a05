"""Faults in opening and closing."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Sequence
from weakref import WeakKeyDictionary, WeakSet

import attrs
import pytest

from orcastra_conformance.engine.steps import turns
from orcastra_core.backends.memory.broker import MemoryBroker
from orcastra_core.backends.memory.entry import Queue
from orcastra_core.backends.memory.gate import Gate
from orcastra_core.backends.memory.session import MemorySession
from orcastra_core.backends.memory.session_state import SessionState
from orcastra_core.backends.memory.store import Store
from orcastra_core.model.envelope import Envelope
from orcastra_core.model.errors import BrokerError, InvalidOption
from orcastra_core.model.profile import Profile
from orcastra_core.model.published import Published
from orcastra_core.model.queue import QueueSpec
from power.saboteur import saboteur
from power.spoiling import nothing


@saboteur("opens-anew", "says something else at every open", killed_by=("life.idempotent", "life.reopen"))
def _(patch: pytest.MonkeyPatch) -> None:
    open_, numbers = MemoryBroker.open, itertools.count()

    async def other(self: MemoryBroker) -> Profile:
        return attrs.evolve(await open_(self), server=f"memory, connection {next(numbers)}")

    patch.setattr(MemoryBroker, "open", other)


@saboteur("opens-once", "cannot be opened again after it was closed", killed_by=("life.reopen",))
def _(patch: pytest.MonkeyPatch) -> None:
    open_, close = MemoryBroker.open, MemoryBroker.close
    closed: WeakSet[MemoryBroker] = WeakSet()

    async def once(self: MemoryBroker) -> Profile:
        if self in closed:
            raise BrokerError("this broker was closed")
        return await open_(self)

    async def for_good(self: MemoryBroker) -> None:
        closed.add(self)
        await close(self)

    patch.setattr(MemoryBroker, "open", once)
    patch.setattr(MemoryBroker, "close", for_good)


@saboteur("closes-once", "fails when it is closed again", killed_by=("life.idempotent",))
def _(patch: pytest.MonkeyPatch) -> None:
    close = MemoryBroker.close

    async def strict(self: MemoryBroker) -> None:
        self._gate.check()
        await close(self)

    patch.setattr(MemoryBroker, "close", strict)


@saboteur("declares-once", "fails when a queue is declared again", killed_by=("life.idempotent", "life.declare-race"))
def _(patch: pytest.MonkeyPatch) -> None:
    declare = MemoryBroker.declare
    declared: WeakKeyDictionary[Store, set[str]] = WeakKeyDictionary()

    async def strict(self: MemoryBroker, queues: Sequence[QueueSpec], /) -> None:
        known = declared.setdefault(self._store, set())
        for spec in queues:
            if spec.name in known:
                raise InvalidOption(f"{spec.name} exists")
            known.add(spec.name)
        await declare(self, queues)

    patch.setattr(MemoryBroker, "declare", strict)


@saboteur(
    "declares-anew",
    "makes a declared queue afresh, without what was in it",
    killed_by=("life.idempotent", "life.declare-race"),
)
def _(patch: pytest.MonkeyPatch) -> None:
    async def declare(self: MemoryBroker, queues: Sequence[QueueSpec], /) -> None:
        for spec in queues:
            self._store.queues[spec.name] = Queue(spec.name)

    patch.setattr(MemoryBroker, "declare", declare)


@saboteur("works-when-closed", "does not look whether it is open", killed_by=("life.use-after-close",))
def _(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Gate, "check", lambda self: self.since or 0.0)


@saboteur("raises-what-it-likes", "raises a bare error when it is closed", killed_by=("life.use-after-close",))
def _(patch: pytest.MonkeyPatch) -> None:
    def check(self: Gate) -> float:
        if self.since is None:
            raise RuntimeError("no running connection")
        return self.since

    patch.setattr(Gate, "check", check)


@saboteur("sessions-outlive-close", "lets a session go on whose broker was closed", killed_by=("life.use-after-close",))
def _(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(MemorySession, "_check_open", nothing)


@saboteur(
    "close-frees-nobody", "leaves waiting calls to wait when it is closed", killed_by=("life.close-frees-waiters",)
)
def _(patch: pytest.MonkeyPatch) -> None:
    end = SessionState.end

    def alone(self: SessionState, *, fenced: bool) -> None:
        if fenced:
            end(self, fenced=True)
        self.closed = self.closed or not fenced

    patch.setattr(SessionState, "end", alone)


@saboteur("empties-at-open", "clears the store when it opens", killed_by=("life.reopen",))
def _(patch: pytest.MonkeyPatch) -> None:
    open_ = MemoryBroker.open

    async def fresh(self: MemoryBroker) -> Profile:
        self._store.queues.clear()
        return await open_(self)

    patch.setattr(MemoryBroker, "open", fresh)


@saboteur("one-call-at-a-time", "fails when it is used by two tasks at once", killed_by=("life.shared-object",))
def _(patch: pytest.MonkeyPatch) -> None:
    publish = MemoryBroker.publish
    busy: WeakSet[MemoryBroker] = WeakSet()

    async def alone(
        self: MemoryBroker, batch: Sequence[Envelope], /, *, events: Sequence[bytes] = ()
    ) -> Sequence[Published]:
        if self in busy:
            raise BrokerError("another operation is in progress")
        busy.add(self)
        try:
            await turns(1)
            return await publish(self, batch, events=events)
        finally:
            busy.discard(self)

    patch.setattr(MemoryBroker, "publish", alone)


@saboteur(
    "leaves-a-task", "starts a task when it opens, and ends it never", killed_by=("life.idempotent", "life.reopen")
)
def _(patch: pytest.MonkeyPatch) -> None:
    open_ = MemoryBroker.open
    beats: list[asyncio.Task[None]] = []

    async def beating(self: MemoryBroker) -> Profile:
        beats.append(asyncio.create_task(self._store.clock.sleep(1e9)))
        return await open_(self)

    patch.setattr(MemoryBroker, "open", beating)
