"""Faults in settling."""

from __future__ import annotations

from collections.abc import Sequence

import attrs
import pytest

from orcastra_core.backends.memory import handover, intake, settling
from orcastra_core.backends.memory.entry import Entry
from orcastra_core.backends.memory.session_state import SessionState
from orcastra_core.backends.memory.store import Store
from orcastra_core.model.counts import Counts
from orcastra_core.model.envelope import Envelope
from orcastra_core.model.result import Outcome, Result
from orcastra_core.model.settlement import (
    DONE,
    STALE,
    Complete,
    Dead,
    Done,
    Failed,
    Moved,
    Release,
    Retry,
    Settled,
    Settlement,
)
from power.saboteur import saboteur
from power.spoiling import change_answers, change_settlements, unheard


@saboteur(
    "completes-nothing",
    "says Done to a Complete and leaves the delivery as it was",
    killed_by=("set.complete-removes",),
)
def _(patch: pytest.MonkeyPatch) -> None:
    settle = settling.settle

    def idle(store: Store, session: SessionState, batch: Sequence[Settlement], number: int) -> Sequence[Settled]:
        rest = iter(settle(store, session, [item for item in batch if not isinstance(item, Complete)], number))
        return [DONE if isinstance(item, Complete) else next(rest) for item in batch]

    patch.setattr(settling, "settle", idle)


@saboteur(
    "removes-at-hand-over",
    "forgets what it hands out: nothing comes back from a session that ended",
    killed_by=("set.not-before", "ses.leave-releases", "ses.expire-hands-over", "ses.close-is-not-leave"),
)
def _(patch: pytest.MonkeyPatch) -> None:
    reap, leave = handover.reap, handover.leave

    def reap_empty(store: Store, session: SessionState) -> None:
        session.held.clear()
        reap(store, session)

    def leave_empty(store: Store, session: SessionState) -> None:
        session.held.clear()
        leave(store, session)

    patch.setattr(handover, "reap", reap_empty)
    patch.setattr(handover, "leave", leave_empty)


@saboteur("drops-failed-attempts", "ends a task with its first failed attempt", killed_by=("set.retry", "delay.retry"))
def _(patch: pytest.MonkeyPatch) -> None:
    change_settlements(patch, lambda i: Moved(i.delivery, i.events) if isinstance(i, Retry) else i)


@saboteur("forgets-attempts", "does not count failed attempts", killed_by=("set.retry", "set.release", "ses.counts"))
def _(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Counts, "retried", lambda self: self)


@saboteur(
    "releases-count-as-attempts",
    "counts every hand-over as an attempt, handed back or not",
    killed_by=("set.release", "ses.counts", "ses.leave-releases"),
)
def _(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Counts, "handed_back", Counts.retried)


@saboteur("writes-into-the-envelope", "keeps the attempt in the envelope's headers", killed_by=("set.retry",))
def _(patch: pytest.MonkeyPatch) -> None:
    go_on = settling._go_on

    def stamping(store: Store, entry: Entry, item: Retry | Release | Moved) -> None:
        if isinstance(entry.envelope, Envelope):
            entry.envelope = attrs.evolve(entry.envelope, headers={"x-memory-attempt": entry.counts.attempt + 1})
        go_on(store, entry, item)

    patch.setattr(settling, "_go_on", stamping)


@saboteur("retries-first", "puts a failed task back to the head of its queue", killed_by=("set.retry-starves-nobody",))
def _(patch: pytest.MonkeyPatch) -> None:
    go_on = settling._go_on

    def pushing(store: Store, entry: Entry, item: Retry | Release | Moved) -> None:
        if isinstance(item, Retry) and item.after <= 0:
            entry.counts = entry.counts.retried()
            store.put_back(entry)
        else:
            go_on(store, entry, item)

    patch.setattr(settling, "_go_on", pushing)


@saboteur(
    "never-dead",
    "tries a task again that failed for good",
    killed_by=("set.dead", "ord.key-ends", "dead.keeps-everything", "dedup.until-settled"),
)
def _(patch: pytest.MonkeyPatch) -> None:
    change_settlements(patch, lambda i: Retry(i.delivery, 0.0, i.error, i.events) if isinstance(i, Dead) else i)


@saboteur("dead-without-a-result", "stores no result of a dead task", killed_by=("set.dead", "res.roundtrip"))
def _(patch: pytest.MonkeyPatch) -> None:
    def forget(store: Store, session: SessionState, item: Settlement, answer: Settled) -> Settled:
        if isinstance(item, Dead) and isinstance(answer, Done):
            del store.ledger.known[item.delivery.envelope.id]
        return answer

    change_answers(patch, forget)


@saboteur("moved-is-completed", "takes Moved for an end, and stores a result", killed_by=("set.moved",))
def _(patch: pytest.MonkeyPatch) -> None:
    def completed(item: Settlement) -> Settlement:
        if isinstance(item, Moved):
            return Complete(item.delivery, Result(item.delivery.envelope.id, Outcome.COMPLETED), events=item.events)
        return item

    change_settlements(patch, completed)


@saboteur("moved-is-released", "takes Moved for a release", killed_by=("set.moved",))
def _(patch: pytest.MonkeyPatch) -> None:
    change_settlements(patch, lambda i: Release(i.delivery, 0.0, i.events) if isinstance(i, Moved) else i)


@saboteur(
    "says-done-to-anything",
    "has no STALE: an acknowledgement of nothing succeeds",
    killed_by=("set.double", "set.forged", "set.mixed-batch", "num.repeat", "num.too-old"),
)
def _(patch: pytest.MonkeyPatch) -> None:
    def polite(store: Store, session: SessionState, item: Settlement, answer: Settled) -> Settled:
        return DONE if answer is STALE and not session.fenced else answer

    change_answers(patch, polite)


@saboteur(
    "settles-by-task-id",
    "looks up what is settled by the task's id, not by the receipt",
    killed_by=("set.double",),
)
def _(patch: pytest.MonkeyPatch) -> None:
    settle = settling.settle

    def by_id(store: Store, session: SessionState, batch: Sequence[Settlement], number: int) -> Sequence[Settled]:
        held = {entry.id: entry.receipt for entry in session.held.values()}
        found = [
            attrs.evolve(item, delivery=attrs.evolve(item.delivery, receipt=held[item.delivery.envelope.id]))
            if item.delivery.envelope.id in held
            else item
            for item in batch
        ]
        return settle(store, session, found, number)

    patch.setattr(settling, "settle", by_id)


@saboteur(
    "one-stale-spoils-the-batch",
    "settles nothing of a batch that holds one late item",
    killed_by=("set.mixed-batch",),
)
def _(patch: pytest.MonkeyPatch) -> None:
    settle = settling.settle

    def strict(store: Store, session: SessionState, batch: Sequence[Settlement], number: int) -> Sequence[Settled]:
        if any(item.delivery.receipt not in session.held for item in batch):
            return [STALE] * len(batch)
        return settle(store, session, batch, number)

    patch.setattr(settling, "settle", strict)


@saboteur("raises-for-one-item", "raises for the batch what is wrong with one item", killed_by=("set.mixed-batch",))
def _(patch: pytest.MonkeyPatch) -> None:
    def raising(store: Store, session: SessionState, item: Settlement, answer: Settled) -> Settled:
        if isinstance(answer, Failed):
            raise answer.error
        return answer

    change_answers(patch, raising)


@saboteur(
    "answers-backwards", "answers a batch from its end", killed_by=("set.double", "set.mixed-batch", "num.repeat")
)
def _(patch: pytest.MonkeyPatch) -> None:
    settle = settling.settle

    def backwards(store: Store, session: SessionState, batch: Sequence[Settlement], number: int) -> Sequence[Settled]:
        return settle(store, session, batch, number)[::-1]

    patch.setattr(settling, "settle", backwards)


@saboteur(
    "writes-results-first",
    "stores a result, and looks whose the task is afterwards",
    killed_by=("set.forged", "set.double", "set.atomic", "res.stale-loses"),
)
def _(patch: pytest.MonkeyPatch) -> None:
    def overwrite(store: Store, session: SessionState, item: Settlement, answer: Settled) -> Settled:
        if isinstance(item, Complete) and answer is STALE:
            store.ledger.finish({item.result.ttl: [item.result]}, store.clock.monotonic())
        return answer

    change_answers(patch, overwrite)


@saboteur("writes-events-first", "appends the events of what it then finds to be late", killed_by=("set.atomic",))
def _(patch: pytest.MonkeyPatch) -> None:
    def told(store: Store, session: SessionState, item: Settlement, answer: Settled) -> Settled:
        if not isinstance(answer, Done) and item.events:
            store.events.extend([item.events])
        return answer

    change_answers(patch, told)


@saboteur("emits-first", "publishes what an item emits before it finds the item to be wrong", killed_by=("set.atomic",))
def _(patch: pytest.MonkeyPatch) -> None:
    def emitted(store: Store, session: SessionState, item: Settlement, answer: Settled) -> Settled:
        if isinstance(answer, Failed) and isinstance(item, Complete):
            intake.admit(store, item.emit)
        return answer

    change_answers(patch, emitted)


@saboteur("dead-emits-nothing", "publishes follow-ups only of what was completed", killed_by=("set.emit",))
def _(patch: pytest.MonkeyPatch) -> None:
    change_settlements(patch, lambda i: attrs.evolve(i, emit=()) if isinstance(i, Dead) else i)


@saboteur("emits-in-silence", "publishes follow-ups and wakes nobody", killed_by=("set.emit-wakes",))
def _(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(settling, "admit", unheard(intake.admit))
