"""Faults in order: of a queue, and of an ordering key."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

import pytest

from orcastra_core.backends.memory import handover, intake, settling
from orcastra_core.backends.memory.entry import BLOCKED, Entry
from orcastra_core.backends.memory.keys import Hold
from orcastra_core.backends.memory.session_state import SessionState
from orcastra_core.backends.memory.store import Store
from orcastra_core.model.delivery import Delivery, Want
from orcastra_core.model.settlement import Dead, Moved, Release, Retry, Settled, Settlement
from power.saboteur import saboteur
from power.spoiling import nothing


@saboteur("last-in-first-out", "serves the newest first", killed_by=("ord.fifo",))
def _(patch: pytest.MonkeyPatch) -> None:
    take = handover.take

    def backwards(store: Store, session: SessionState, want: Want) -> list[Delivery]:
        for name, _ in want.queues:
            for level in store.queue(name).order:
                level.reverse()
        taken = take(store, session, want)
        for name, _ in want.queues:
            for level in store.queue(name).order:
                level.reverse()
        return taken

    patch.setattr(handover, "take", backwards)


@saboteur("serves-by-id", "serves a queue in order of ids, not of publishing", killed_by=("ord.fifo",))
def _(patch: pytest.MonkeyPatch) -> None:
    take = handover.take

    def sorting(store: Store, session: SessionState, want: Want) -> list[Delivery]:
        for name, _ in want.queues:
            for level in store.queue(name).order:
                ordered = sorted(level, key=lambda entry: entry.id)
                level.clear()
                level.extend(ordered)
        return take(store, session, want)

    patch.setattr(handover, "take", sorting)


@saboteur(
    "ignores-ordering-keys",
    "runs tasks of one ordering key side by side",
    killed_by=("ord.key-one-at-a-time", "ord.key-through-retry", "ord.key-through-loss", "ord.key-delayed-head"),
)
def _(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(intake, "line_up", lambda entry, order_by: True)


def _step_back(store: Store, entry: Entry) -> None:
    """Let the next of a key go first, and the head behind the last."""
    if entry.special is None or entry.special.order_by is None:
        return
    line = entry.queue.lines.get(entry.special.order_by, deque())
    if len(line) > 1 and line[0] is entry:
        line.rotate(-1)
        if line[0].state == BLOCKED:
            entry.queue.delayed -= 1
            store.place(line[0], line[0].due)


@saboteur(
    "a-retry-frees-its-key",
    "lets the next task of a key go while the one before it waits for another attempt",
    killed_by=("ord.key-through-retry", "ord.key-after-retry"),
)
def _(patch: pytest.MonkeyPatch) -> None:
    go_on = settling._go_on

    def overtaken(store: Store, entry: Entry, item: Retry | Release | Moved) -> None:
        if isinstance(item, Retry):
            _step_back(store, entry)
        go_on(store, entry, item)

    patch.setattr(settling, "_go_on", overtaken)


@saboteur(
    "a-loss-frees-its-key", "lets the next task of a key go when a session dies", killed_by=("ord.key-through-loss",)
)
def _(patch: pytest.MonkeyPatch) -> None:
    reap = handover.reap

    def overtaken(store: Store, session: SessionState) -> None:
        for entry in session.held.values():
            _step_back(store, entry)
        reap(store, session)

    patch.setattr(handover, "reap", overtaken)


@saboteur(
    "a-move-frees-its-key",
    "lets the next task of a key go while a scheduler has the one before it",
    killed_by=("ord.key-through-a-scheduler",),
)
def _(patch: pytest.MonkeyPatch) -> None:
    go_on = settling._go_on

    def overtaken(store: Store, entry: Entry, item: Retry | Release | Moved) -> None:
        if isinstance(item, Moved):
            _step_back(store, entry)
        go_on(store, entry, item)

    patch.setattr(settling, "_go_on", overtaken)


@saboteur(
    "a-retry-locks-its-key",
    "forgets with a failed attempt which key the task has, and never frees it",
    killed_by=("ord.key-after-retry",),
)
def _(patch: pytest.MonkeyPatch) -> None:
    go_on = settling._go_on

    def forgetful(store: Store, entry: Entry, item: Retry | Release | Moved) -> None:
        if isinstance(item, Retry) and entry.special is not None:
            entry.special.order_by = None
        go_on(store, entry, item)

    patch.setattr(settling, "_go_on", forgetful)


@saboteur(
    "a-dead-task-locks-its-key", "frees an ordering key only when its head was completed", killed_by=("ord.key-ends",)
)
def _(patch: pytest.MonkeyPatch) -> None:
    settle = settling.settle

    def locked(store: Store, session: SessionState, batch: Sequence[Settlement], number: int) -> Sequence[Settled]:
        for item in batch:
            entry = session.held.get(item.delivery.receipt)
            if isinstance(item, Dead) and entry is not None and entry.special is not None:
                entry.special.order_by = None
        return settle(store, session, batch, number)

    patch.setattr(settling, "settle", locked)


@saboteur(
    "a-cancel-keeps-keys",
    "takes a waiting task out and leaves its keys to it",
    killed_by=("ord.key-cancel", "dedup.cancel-frees"),
)
def _(patch: pytest.MonkeyPatch) -> None:
    patch.setattr("orcastra_core.backends.memory.store.ended", nothing)


@saboteur(
    "delay-before-order",
    "takes an ordering key only when its task is due",
    killed_by=("ord.key-delayed-head",),
)
def _(patch: pytest.MonkeyPatch) -> None:
    place_new = intake.place_new

    def unkeyed(store: Store, entry: Entry, hold: Hold | None, order_by: str | None, due: float | None) -> None:
        place_new(store, entry, hold, None if due is not None else order_by, due)

    patch.setattr(intake, "place_new", unkeyed)
