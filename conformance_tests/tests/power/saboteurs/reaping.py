"""Faults in reaping: what ends a dead session, and who may judge."""

from __future__ import annotations

import math
from collections.abc import Sequence

import attrs
import pytest

from orcastra_conformance import BrokerHarness
from orcastra_conformance.engine.steps import turns
from orcastra_core.backends.memory import handover, settling
from orcastra_core.backends.memory.broker import MemoryBroker
from orcastra_core.backends.memory.entry import RUNNING, Entry
from orcastra_core.backends.memory.gate import Gate
from orcastra_core.backends.memory.session_state import SessionState
from orcastra_core.backends.memory.store import Store
from orcastra_core.model.counts import Counts
from orcastra_core.model.delivery import Delivery
from orcastra_core.model.names import SessionId
from orcastra_core.model.session import Lost, Swept
from orcastra_core.model.settlement import Settled, Settlement
from power import reaping_server
from power.saboteur import saboteur


@saboteur(
    "reaps-without-fencing",
    "takes a dead session's deliveries away and lets it go on",
    killed_by=("ses.reap-fences", "ses.reap-frees-waiters"),
)
def _(patch: pytest.MonkeyPatch) -> None:
    def still_alive(self: SessionState, *, fenced: bool) -> None:
        self.closed = self.closed or not fenced

    patch.setattr(SessionState, "end", still_alive)


@saboteur(
    "reaps-in-silence",
    "fences a session and wakes none of its waiting calls",
    killed_by=("ses.reap-frees-waiters", "life.close-frees-waiters"),
)
def _(patch: pytest.MonkeyPatch) -> None:
    def quiet(self: SessionState, *, fenced: bool) -> None:
        self.fenced = self.fenced or fenced
        self.closed = self.closed or not fenced

    patch.setattr(SessionState, "end", quiet)


@saboteur(
    "the-late-one-wins",
    "settles what a reaped session says, in the place of the one that has it now",
    killed_by=("set.atomic",),
)
def _(patch: pytest.MonkeyPatch) -> None:
    settle = settling.settle

    def heard(store: Store, session: SessionState, batch: Sequence[Settlement], number: int) -> Sequence[Settled]:
        if not session.fenced:
            return settle(store, session, batch, number)
        answers: list[Settled] = []
        for item in batch:
            entry = store.ledger.known.get(item.delivery.envelope.id)
            holder = entry.session if isinstance(entry, Entry) and entry.state == RUNNING else session
            if isinstance(entry, Entry) and holder is not session:
                item = attrs.evolve(item, delivery=Delivery(entry.envelope, entry.receipt, entry.counts))
            answers += settle(store, holder, [item], holder.last_number + 1)
        return answers

    patch.setattr(settling, "settle", heard)


@saboteur(
    "expires-later",
    "leaves it to the next sweep to hand out what expire took away",
    killed_by=("ses.expire-hands-over",),
)
def _(patch: pytest.MonkeyPatch) -> None:
    async def expire(self: MemoryBroker, session: SessionId, /) -> int:
        state = self._store.sessions.get(session)
        if state is not None:
            handover.reap(self._store, state)
        return 0

    patch.setattr(MemoryBroker, "expire", expire)


@saboteur(
    "lost-go-last",
    "puts what was lost behind all that was published since",
    killed_by=("ses.expire-hands-over",),
)
def _(patch: pytest.MonkeyPatch) -> None:
    put_back = Store.put_back

    def to_the_tail(self: Store, entry: Entry) -> None:
        if entry.counts.lost:
            self.place(entry, None)
        else:
            put_back(self, entry)

    patch.setattr(Store, "put_back", to_the_tail)


@saboteur(
    "never-reaps",
    "waits for a dead session for ever",
    killed_by=("ses.sweep-reaps-lapsed", "ses.sweep-limit", "ses.concurrent-sweeps", "ses.close-is-not-leave"),
)
def _(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(SessionState, "lapsed", lambda self, now: False)


@saboteur(
    "reaps-at-half-time", "takes a session for dead after half of its lease", killed_by=("ses.sweep-reaps-lapsed",)
)
def _(patch: pytest.MonkeyPatch) -> None:
    def lapsed(self: SessionState, now: float) -> bool:
        return self.silent_since is not None and now - self.silent_since >= self.lease / 2

    patch.setattr(SessionState, "lapsed", lapsed)


@saboteur(
    "judges-at-once",
    "reaps by lapse before it has been there for a lease itself",
    killed_by=("ses.sweep-needs-contact",),
)
def _(patch: pytest.MonkeyPatch) -> None:
    check = Gate.check

    def always(self: Gate) -> float:
        check(self)
        return -math.inf

    patch.setattr(Gate, "check", always)


@saboteur("sweeps-without-limit", "hands back all there is in one step", killed_by=("ses.sweep-limit",))
def _(patch: pytest.MonkeyPatch) -> None:
    rehome = handover.rehome

    def unbounded(store: Store, limit: int, *, only: SessionId | None = None) -> list[Lost]:
        return rehome(store, len(store.orphans), only=only)

    patch.setattr(handover, "rehome", unbounded)


@saboteur("sweeps-one-page", "never says that there is more to sweep", killed_by=("ses.sweep-limit",))
def _(patch: pytest.MonkeyPatch) -> None:
    sweep = MemoryBroker.sweep

    async def satisfied(self: MemoryBroker, *, limit: int) -> Swept:
        return attrs.evolve(await sweep(self, limit=limit), more=False)

    patch.setattr(MemoryBroker, "sweep", satisfied)


@saboteur(
    "drops-the-second-page",
    "reaps a session with more than a page of deliveries, and forgets those behind it",
    killed_by=("ses.sweep-limit",),
)
def _(patch: pytest.MonkeyPatch) -> None:
    rehome = handover.rehome

    def one_page(store: Store, limit: int, *, only: SessionId | None = None) -> list[Lost]:
        lost = rehome(store, limit, only=only)
        store.orphans.clear()
        return lost

    patch.setattr(handover, "rehome", one_page)


@saboteur(
    "sweeps-side-by-side",
    "looks for the dead, and hands out their deliveries in a second step without looking again",
    killed_by=("ses.concurrent-sweeps",),
)
def _(patch: pytest.MonkeyPatch) -> None:
    sweep = MemoryBroker.sweep

    async def racing(self: MemoryBroker, *, limit: int) -> Swept:
        store, now = self._store, self._store.clock.monotonic()
        found = [entry for s in store.sessions.values() if s.lapsed(now) for entry in s.held.values()]
        await turns(1)
        swept = await sweep(self, limit=limit)
        if not found or swept.lost:
            return swept
        for entry in found:
            entry.counts = entry.counts.bereaved()
        return attrs.evolve(swept, lost=[Lost(e.id, e.queue.name, e.counts, e.session.id) for e in found])

    patch.setattr(MemoryBroker, "sweep", racing)


@saboteur("fences-once", "tells a reaped session once, and waits when it asks again", killed_by=("ses.reap-fences",))
def _(patch: pytest.MonkeyPatch) -> None:
    take = SessionState.take_signals
    told: set[SessionId] = set()

    def once(self: SessionState) -> list[object]:
        if self.fenced and self.id in told:
            return []
        told.add(self.id)
        return list(take(self))

    patch.setattr(SessionState, "take_signals", once)


@saboteur("sweeps-in-secret", "does not say what a sweep handed out again", killed_by=("ses.sweep-reaps-lapsed",))
def _(patch: pytest.MonkeyPatch) -> None:
    sweep = MemoryBroker.sweep

    async def silent(self: MemoryBroker, *, limit: int) -> Swept:
        return attrs.evolve(await sweep(self, limit=limit), lost=())

    patch.setattr(MemoryBroker, "sweep", silent)


@saboteur(
    "leaves-it-to-the-sweep",
    "says that its server reaps, and nobody does",
    killed_by=("ses.server-reaps",),
)
def _(patch: pytest.MonkeyPatch) -> BrokerHarness:
    return reaping_server.install(patch, lambda store: None)


@saboteur(
    "reaps-uncounted",
    "hands out again what a dead session held as if nothing had been lost",
    killed_by=("ses.server-reaps",),
)
def _(patch: pytest.MonkeyPatch) -> BrokerHarness:
    patch.setattr(Counts, "bereaved", lambda self: self)
    return reaping_server.install(patch)
