"""Settling: what becomes of deliveries, each in one step."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from orcastra_core.backends.memory.entry import GONE, MOVED, Entry
from orcastra_core.backends.memory.handover import hand_back
from orcastra_core.backends.memory.intake import admit
from orcastra_core.backends.memory.keys import ended
from orcastra_core.backends.memory.session_state import SessionState
from orcastra_core.backends.memory.settings import LIMITS
from orcastra_core.model.dead_letter import DeadLetter
from orcastra_core.model.errors import BodyTooLarge, InvalidOption
from orcastra_core.model.profile import Cap
from orcastra_core.model.result import Result
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

if TYPE_CHECKING:
    from orcastra_core.backends.memory.store import Store


def settle(store: Store, session: SessionState, batch: Sequence[Settlement], number: int) -> Sequence[Settled]:
    """Settle a numbered batch, or return the answers it got before."""
    if session.fenced:
        return [STALE] * len(batch)
    before = session.answers.get(number)
    if before is not None:
        return before
    if number <= session.last_number:
        return [STALE] * len(batch)
    now = store.clock.monotonic()
    held, feeds, max_body = session.held, store.feeds, LIMITS.max_body
    results: dict[float, list[Result]] = {}
    ttl, of_ttl = -1.0, []
    events: list[bytes] = []
    back: list[Entry] = []
    answers: list[Settled] = []
    answer = answers.append
    for item in batch:
        receipt = item.delivery.receipt
        entry = held.get(receipt)
        if entry is None:
            answer(STALE)
            continue
        if type(item) is Complete or type(item) is Dead:
            result = item.result
            if result.id != entry.id:
                answer(Failed(InvalidOption(f"a result of {result.id} cannot end {entry.id}")))
                continue
            if len(result.value) > max_body:
                answer(Failed(BodyTooLarge(f"the result has {len(result.value)} bytes; at most {max_body} are taken")))
                continue
            del held[receipt]
            entry.state = GONE
            if result.ttl != ttl:
                ttl = result.ttl
                of_ttl = results.setdefault(ttl, [])
            of_ttl.append(result)
            if entry.special is not None:
                ended(store, entry)
            if feeds and entry.reply is not None:
                store.push(result, entry.reply)
            if type(item) is Dead:
                _bury(store, entry, item)
            if item.events:
                events.append(item.events)
            answer(Done(admit(store, item.emit)) if item.emit else DONE)
        elif type(item) is Retry or type(item) is Release or type(item) is Moved:
            after = 0.0 if isinstance(item, Moved) else item.after
            if not after <= (LIMITS.max_delay if Cap.DELAY not in store.without else 0.0):
                answer(Failed(InvalidOption(f"{after} s is longer than this broker delays")))
                continue
            del held[receipt]
            if entry.special is not None:
                entry.special.cancel = False
            if type(item) is Release and not after > 0:
                entry.counts = entry.counts.handed_back()
                back.append(entry)
            else:
                _go_on(store, entry, item)
            if item.events:
                events.append(item.events)
            answer(DONE)
        else:
            answer(Failed(InvalidOption(f"{type(item).__name__} is no settlement")))
    hand_back(back, store)
    store.ledger.finish(results, now)
    store.ledger.retire_some(now)
    if session.cancels:
        session.cancels = {task_id: None for task_id in session.cancels if _still_runs(store, session, task_id)}
    store.events.extend(events)
    session.last_number = number
    session.answers[number] = answers
    if len(session.answers) > LIMITS.settle_window:
        del session.answers[min(session.answers)]
    return answers


def _bury(store: Store, entry: Entry, item: Dead) -> None:
    if Cap.DEAD_LETTERS in store.without:
        return
    store.dead[entry.id] = DeadLetter(
        id=entry.id,
        queue=entry.queue.name,
        envelope=entry.envelope,
        counts=entry.counts,
        reason=item.reason,
        error=item.error,
        at=store.clock.now(),
    )


def _go_on(store: Store, entry: Entry, item: Retry | Release | Moved) -> None:
    if isinstance(item, Moved):
        entry.state = MOVED
    elif isinstance(item, Retry):
        entry.counts = entry.counts.retried()
        store.place(entry, store.clock.now() + item.after if item.after > 0 else None)
    else:
        entry.counts = entry.counts.handed_back()
        store.place(entry, store.clock.now() + item.after)


def _still_runs(store: Store, session: SessionState, task_id: object) -> bool:
    return any(entry.id == task_id for entry in session.held.values())
