"""Faults in priority."""

from __future__ import annotations

from collections import deque

import attrs
import pytest

from orcastra_core.backends.memory import handover, settling
from orcastra_core.backends.memory.entry import Entry, Queue
from orcastra_core.backends.memory.session_state import SessionState
from orcastra_core.backends.memory.settings import LIMITS
from orcastra_core.backends.memory.store import Store
from orcastra_core.model.delivery import Delivery, Want
from orcastra_core.model.settlement import Moved, Release, Retry
from power.saboteur import saboteur
from power.spoiling import change_envelopes


@saboteur(
    "lowest-first", "serves the smallest number first, as others do", killed_by=("prio.high-first", "prio.in-one-fetch")
)
def _(patch: pytest.MonkeyPatch) -> None:
    level_of = Queue.level

    def upside_down(self: Queue, priority: int) -> deque[Entry]:
        level = level_of(self, priority)
        self.order = [self.levels[p] for p in sorted(self.levels)]
        return level

    patch.setattr(Queue, "level", upside_down)


@saboteur(
    "ignores-priority",
    "keeps one line for all priorities",
    killed_by=("prio.high-first", "prio.in-one-fetch", "prio.kept"),
)
def _(patch: pytest.MonkeyPatch) -> None:
    level_of = Queue.level
    patch.setattr(Queue, "level", lambda self, priority: level_of(self, 0))


@saboteur(
    "sorts-a-fetch-by-age",
    "takes the right tasks, and returns them in the order of their ids",
    killed_by=("prio.in-one-fetch",),
)
def _(patch: pytest.MonkeyPatch) -> None:
    take = handover.take

    def by_age(store: Store, session: SessionState, want: Want) -> list[Delivery]:
        return sorted(take(store, session, want), key=lambda delivery: delivery.envelope.id)

    patch.setattr(handover, "take", by_age)


@saboteur("retries-lose-rank", "puts a task that comes back among those without a priority", killed_by=("prio.kept",))
def _(patch: pytest.MonkeyPatch) -> None:
    go_on = settling._go_on

    def demoted(store: Store, entry: Entry, item: Retry | Release | Moved) -> None:
        entry.level = entry.queue.level(0)
        go_on(store, entry, item)

    patch.setattr(settling, "_go_on", demoted)


@saboteur("losses-lose-rank", "puts a lost task among those without a priority", killed_by=("prio.kept",))
def _(patch: pytest.MonkeyPatch) -> None:
    reap = handover.reap

    def demoted(store: Store, session: SessionState) -> None:
        for entry in session.held.values():
            entry.level = entry.queue.level(0)
        reap(store, session)

    patch.setattr(handover, "reap", demoted)


@saboteur("clamps-priorities", "takes a priority outside its limits for the nearest inside", killed_by=("prio.limits",))
def _(patch: pytest.MonkeyPatch) -> None:
    low, high = LIMITS.priorities
    change_envelopes(patch, lambda e: attrs.evolve(e, priority=max(low, min(high, e.priority))))
