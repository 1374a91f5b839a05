"""Faults that an application sees."""

from __future__ import annotations

from collections.abc import Sequence

import attrs
import pytest

from orcastra_conformance.engine.making import ERROR
from orcastra_core.backends.memory import control, handover, intake, settling
from orcastra_core.backends.memory.session_state import SessionState
from orcastra_core.backends.memory.store import Store
from orcastra_core.model.counts import Counts
from orcastra_core.model.envelope import Envelope
from orcastra_core.model.ids import derived_id
from orcastra_core.model.published import Published
from orcastra_core.model.settlement import Complete, Dead, Release, Retry, Settled, Settlement
from orcastra_core.model.task_state import Cancellation, Cancelled
from power.saboteur import saboteur
from power.spoiling import change_envelopes, change_settlements


@saboteur("mixes-up-results", "gives each result of a batch to the next task", killed_by=("run.tasks-once",))
def _(patch: pytest.MonkeyPatch) -> None:
    settle = settling.settle

    def mixed(store: Store, session: SessionState, batch: Sequence[Settlement], number: int) -> Sequence[Settled]:
        values = [item.result.value for item in batch if isinstance(item, Complete)]
        shifted = iter(values[1:] + values[:1])
        return settle(
            store,
            session,
            [
                attrs.evolve(item, result=attrs.evolve(item.result, value=next(shifted)))
                if isinstance(item, Complete)
                else item
                for item in batch
            ],
            number,
        )

    patch.setattr(settling, "settle", mixed)


@saboteur(
    "cuts-reasons",
    "keeps the first ten characters of why a task is dead",
    killed_by=("run.retry-then-dead", "run.poison", "run.unknown-task-dies", "run.unreadable-goes-dead-once"),
)
def _(patch: pytest.MonkeyPatch) -> None:
    change_settlements(
        patch, lambda item: attrs.evolve(item, reason=item.reason[:10]) if isinstance(item, Dead) else item
    )


@saboteur(
    "counts-one-loss",
    "notes that sessions died holding a task, not how many",
    killed_by=("run.poison", "run.suspect-alone", "ses.lost-counts-up"),
)
def _(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Counts, "bereaved", lambda self: Counts(self.attempt, 1, self.released))


@saboteur(
    "a-delay-is-an-attempt",
    "counts a release for later as an attempt that failed",
    killed_by=("run.unknown-task-released",),
)
def _(patch: pytest.MonkeyPatch) -> None:
    def change(item: Settlement) -> Settlement:
        if isinstance(item, Release) and item.after > 0:
            return Retry(item.delivery, item.after, ERROR, item.events)
        return item

    change_settlements(patch, change)


@saboteur("removes-what-runs", "says REMOVED of a task that runs", killed_by=("run.cancel",))
def _(patch: pytest.MonkeyPatch) -> None:
    cancel = control.cancel

    def boastful(store: Store, wish: Cancellation) -> Cancelled:
        answer = cancel(store, wish)
        return Cancelled.REMOVED if answer is Cancelled.SIGNALLED else answer

    patch.setattr(control, "cancel", boastful)


@saboteur("forgets-expiry", "does not store until when a task may be started", killed_by=("run.expired",))
def _(patch: pytest.MonkeyPatch) -> None:
    change_envelopes(patch, lambda envelope: attrs.evolve(envelope, expires=None))


@saboteur(
    "fences-nobody",
    "takes a reaped session's deliveries away, and goes on serving it",
    killed_by=("run.reaped-worker-goes-on",),
)
def _(patch: pytest.MonkeyPatch) -> None:
    reap = handover.reap

    def mild(store: Store, session: SessionState) -> None:
        reap(store, session)
        store.sessions[session.id] = session
        session.fenced = False

    patch.setattr(handover, "reap", mild)


@saboteur(
    "emits-copies",
    "publishes what a task emits a second time, under an id of its own",
    killed_by=("run.follow-ups-once",),
)
def _(patch: pytest.MonkeyPatch) -> None:
    admit = intake.admit

    def doubled(store: Store, batch: Sequence[Envelope], events: Sequence[bytes] = ()) -> list[Published]:
        admit(store, [attrs.evolve(one, id=derived_id(one.id, b"a copy")) for one in batch])
        return admit(store, batch, events)

    patch.setattr(settling, "admit", doubled)
