"""Faults that show when two do something at once, or one does very much."""

from __future__ import annotations

from collections.abc import Sequence

import attrs
import pytest

from orcastra_core.backends.memory import control, handover
from orcastra_core.backends.memory.dead_letters import MemoryDeadLetters
from orcastra_core.backends.memory.entry import ORPHANED, READY, Entry
from orcastra_core.backends.memory.results import MemoryResults
from orcastra_core.backends.memory.scheduler import MemoryScheduler
from orcastra_core.backends.memory.session_state import SessionState
from orcastra_core.backends.memory.settings import LIMITS
from orcastra_core.backends.memory.store import Store
from orcastra_core.model.counts import FRESH
from orcastra_core.model.dead_letter import DeadLetter
from orcastra_core.model.delivery import Delivery, Want
from orcastra_core.model.names import SessionId
from orcastra_core.model.result import Result
from orcastra_core.model.session import Lost
from orcastra_core.model.settlement import Complete, Settlement
from orcastra_core.model.task_state import Cancellation, Cancelled
from power.saboteur import saboteur
from power.spoiling import change_settlements


@saboteur(
    "hands-over-one-page", "hands over the first thousand deliveries of a dead session", killed_by=("ses.big-backlog",)
)
def _(patch: pytest.MonkeyPatch) -> None:
    rehome = handover.rehome

    def paged(store: Store, limit: int, *, only: SessionId | None = None) -> list[Lost]:
        return rehome(store, min(limit, 1000), only=only)

    patch.setattr(handover, "rehome", paged)


@saboteur("cuts-the-largest-result", "stores max_body bytes of a result but one", killed_by=("hon.limits-true",))
def _(patch: pytest.MonkeyPatch) -> None:
    def change(item: Settlement) -> Settlement:
        if isinstance(item, Complete) and len(item.result.value) == LIMITS.max_body:
            return attrs.evolve(item, result=attrs.evolve(item.result, value=item.result.value[:-1]))
        return item

    change_settlements(patch, change)


@saboteur(
    "reaps-a-copy",
    "hands a reaped session's deliveries out again, and lets it settle them",
    killed_by=("conc.settle-vs-reap",),
)
def _(patch: pytest.MonkeyPatch) -> None:
    def generous(store: Store, session: SessionState) -> None:
        for entry in session.held.values():
            entry.state = ORPHANED
            store.orphans.append(entry)

    patch.setattr(handover, "reap", generous)


@saboteur(
    "cancels-on-paper",
    "says REMOVED of a task that waits, and leaves it where it is",
    killed_by=("conc.cancel-vs-fetch",),
)
def _(patch: pytest.MonkeyPatch) -> None:
    cancel = control.cancel

    def idle(store: Store, wish: Cancellation) -> Cancelled:
        entry = store.ledger.known.get(wish.id)
        if getattr(entry, "state", None) == READY:
            return Cancelled.REMOVED
        return cancel(store, wish)

    patch.setattr(control, "cancel", idle)


@saboteur(
    "leaves-every-fifth",
    "leaves every fifth task it hands out in its queue as well",
    killed_by=("conc.publish-while-fetching",),
)
def _(patch: pytest.MonkeyPatch) -> None:
    take = handover.take

    def forgetful(store: Store, session: SessionState, want: Want) -> list[Delivery]:
        taken = take(store, session, want)
        for delivery in taken:
            entry = session.held[delivery.receipt]
            if entry.receipt % 5 == 0:
                twin = Entry(entry.envelope, entry.queue, entry.level, entry.counts, entry.reply, entry.ready_at)
                entry.level.append(twin)
        return taken

    patch.setattr(handover, "take", forgetful)


@saboteur("the-first-end-stays", "keeps the first result put for an id", killed_by=("res.put",))
def _(patch: pytest.MonkeyPatch) -> None:
    put = MemoryResults.put

    async def stubborn(self: MemoryResults, batch: Sequence[tuple[Result, str | None]], /) -> None:
        await put(self, [pair for pair in batch if pair[0].id not in self._store.ledger.known])

    patch.setattr(MemoryResults, "put", stubborn)


@saboteur("puts-for-ever", "keeps a result that was put whatever its TTL", killed_by=("res.put-expires",))
def _(patch: pytest.MonkeyPatch) -> None:
    put = MemoryResults.put

    async def lasting(self: MemoryResults, batch: Sequence[tuple[Result, str | None]], /) -> None:
        await put(self, [(attrs.evolve(result, ttl=1e9), reply) for result, reply in batch])

    patch.setattr(MemoryResults, "put", lasting)


@saboteur(
    "puts-without-counts", "stores dead letters of a queue elsewhere without their counts", killed_by=("dead.put",)
)
def _(patch: pytest.MonkeyPatch) -> None:
    put = MemoryDeadLetters.put

    async def careless(self: MemoryDeadLetters, batch: Sequence[DeadLetter], /) -> None:
        await put(self, [attrs.evolve(letter, counts=FRESH) for letter in batch])

    patch.setattr(MemoryDeadLetters, "put", careless)


@saboteur(
    "promotes-at-home",
    "publishes what is due in its own store, whichever broker it was given",
    killed_by=("sch.promote-elsewhere",),
)
def _(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(MemoryScheduler, "serves", lambda self, store: True)
