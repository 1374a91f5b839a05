"""Faults that only real processes bring to light: on the served broker, in its server or in every process's client."""

from __future__ import annotations

import time
import weakref
from collections.abc import Sequence

import pytest

from orcastra_core.backends.memory import handover, settling
from orcastra_core.backends.memory.broker import MemoryBroker
from orcastra_core.backends.memory.session_state import SessionState
from orcastra_core.backends.memory.store import Store
from orcastra_core.liveness.system_clock import SystemClock
from orcastra_core.model.counts import Counts
from orcastra_core.model.names import SessionId
from orcastra_core.model.session import Lost, Swept
from orcastra_core.model.settlement import Done, Settled, Settlement
from power import spoilt_clients
from power.saboteur import saboteur
from power.served.domain import Domain
from power.served.harness import Harness


class _Stopped(SystemClock):
    """A clock that says what somebody else's says."""

    def __init__(self, now: float) -> None:
        self._now = now

    def now(self) -> float:
        return self._now


@saboteur(
    "death-is-a-failure",
    "counts the death of a process as a failed attempt",
    killed_by=("proc.consumer-sigkill", "proc.big-backlog", "proc.many-drain"),
)
def _(patch: pytest.MonkeyPatch) -> Harness:
    patch.setattr(Counts, "bereaved", lambda self: Counts(self.attempt + 1, self.lost, self.released))
    return Harness()


@saboteur("buries-the-estate", "forgets what a killed process held", killed_by=("proc.consumer-sigkill", "proc.fork"))
def _(patch: pytest.MonkeyPatch) -> Harness:
    def forget(store: Store, limit: int, *, only: SessionId | None = None) -> list[Lost]:
        store.orphans.clear()
        return []

    patch.setattr(handover, "rehome", forget)
    return Harness()


@saboteur(
    "one-page-of-the-estate",
    "hands out one sweep's page of what a killed process held, and forgets the rest",
    killed_by=("proc.big-backlog",),
)
def _(patch: pytest.MonkeyPatch) -> Harness:
    rehome = handover.rehome

    def one_page(store: Store, limit: int, *, only: SessionId | None = None) -> list[Lost]:
        lost = rehome(store, limit, only=only)
        store.orphans.clear()
        return lost

    patch.setattr(handover, "rehome", one_page)
    return Harness()


@saboteur(
    "one-dead-all-dead",
    "reaps every session as soon as one has lapsed",
    killed_by=("proc.many-drain", "proc.paused-is-fenced"),
)
def _(patch: pytest.MonkeyPatch) -> Harness:
    sweep = MemoryBroker.sweep

    async def reap_all(self: MemoryBroker, *, limit: int) -> Swept:
        swept = await sweep(self, limit=limit)
        if swept.sessions:
            for session in list(self._store.sessions.values()):
                handover.reap(self._store, session)
        return swept

    patch.setattr(MemoryBroker, "sweep", reap_all)
    return Harness()


@saboteur(
    "thanks-the-reaped",
    "answers Done, and does nothing, when a process settles that was stopped and reaped",
    killed_by=("proc.paused-is-fenced",),
)
def _(patch: pytest.MonkeyPatch) -> Harness:
    settle = settling.settle

    def polite(store: Store, session: SessionState, batch: Sequence[Settlement], number: int) -> Sequence[Settled]:
        return [Done()] * len(batch) if session.fenced else settle(store, session, batch, number)

    patch.setattr(settling, "settle", polite)
    return Harness()


@saboteur(
    "lapsed-for-good",
    "takes no beat from a session that has missed its lease once",
    killed_by=("proc.lapse-revived",),
)
def _(patch: pytest.MonkeyPatch) -> Harness:
    beat = MemoryBroker.beat

    async def too_late(self: MemoryBroker, session: SessionId, /) -> bool:
        state = self._store.sessions.get(session)
        if state is not None and state.lapsed(self._store.clock.monotonic()):
            return True
        return await beat(self, session)

    patch.setattr(MemoryBroker, "beat", too_late)
    return Harness()


@saboteur(
    "one-lease-for-all",
    "judges by a lease of half a second, whatever it granted",
    killed_by=("proc.paused-not-reaped-early",),
)
def _(patch: pytest.MonkeyPatch) -> Harness:
    def lapsed(self: SessionState, now: float) -> bool:
        return self.silent_since is not None and now - self.silent_since >= Harness.lease

    patch.setattr(SessionState, "lapsed", lapsed)
    return Harness()


@saboteur("beats-on-the-loop", "has the caller's event loop beat", killed_by=("proc.blocked-loop",))
def _(patch: pytest.MonkeyPatch) -> Harness:
    return spoilt_clients.LoopBeats()


@saboteur(
    "two-leases-at-most",
    "takes a delivery away, and its session's life, after two leases",
    killed_by=("proc.long-task",),
)
def _(patch: pytest.MonkeyPatch) -> Harness:
    began: weakref.WeakKeyDictionary[SessionState, float] = weakref.WeakKeyDictionary()
    lapsed = SessionState.lapsed

    def impatient(self: SessionState, now: float) -> bool:
        return lapsed(self, now) or (bool(self.held) and now - began.setdefault(self, now) >= 2 * self.lease)

    patch.setattr(SessionState, "lapsed", impatient)
    return Harness()


@saboteur(
    "confirms-what-it-buffers", "confirms a publish and writes it with the next", killed_by=("proc.publisher-sigkill",)
)
def _(patch: pytest.MonkeyPatch) -> Harness:
    return spoilt_clients.WriteBehind()


@saboteur(
    "emits-afterwards", "settles first and publishes what is emitted later", killed_by=("proc.sigkill-during-settle",)
)
def _(patch: pytest.MonkeyPatch) -> Harness:
    return spoilt_clients.EmitsLater()


@saboteur(
    "emits-beforehand", "publishes what is emitted first and settles later", killed_by=("proc.sigkill-during-settle",)
)
def _(patch: pytest.MonkeyPatch) -> Harness:
    return spoilt_clients.EmitsFirst()


@saboteur("forked-beats", "beats in forked children for their parent's sessions", killed_by=("proc.fork",))
def _(patch: pytest.MonkeyPatch) -> Harness:
    return spoilt_clients.ForkedBeats()


@saboteur("judges-by-its-own-clock", "takes a client's wall clock to tell who is silent", killed_by=("proc.clock-off",))
def _(patch: pytest.MonkeyPatch) -> Harness:
    async def sweep_at(self: Domain, now: float, limit: int) -> Swept:
        store, since = self.store, time.monotonic() - time.time()
        with store.lock:
            lapsed = [session for session in store.sessions.values() if session.lapsed(now + since)]
            for session in lapsed:
                handover.reap(store, session)
            return Swept([session.id for session in lapsed], handover.rehome(store, limit), more=bool(store.orphans))

    patch.setattr(Domain, "sweep_at", sweep_at, raising=False)
    return spoilt_clients.OwnClockJudge()


@saboteur("due-by-its-own-clock", "hands out what is due by a client's wall clock", killed_by=("proc.clock-off",))
def _(patch: pytest.MonkeyPatch) -> Harness:
    async def ripen_at(self: Domain, now: float) -> None:
        store = self.store
        with store.lock:
            clock, store.clock = store.clock, _Stopped(now)
            store.promote(1000)
            store.clock = clock

    patch.setattr(Domain, "ripen_at", ripen_at, raising=False)
    return spoilt_clients.OwnClockReader()
