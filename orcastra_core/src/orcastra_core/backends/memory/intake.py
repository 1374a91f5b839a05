"""Publishing: from a client's batch, or from what a settlement emits."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING

import attrs

from orcastra_core.backends.memory.entry import MOVED, Entry, Special
from orcastra_core.backends.memory.keys import Hold, line_up, take_key
from orcastra_core.backends.memory.settings import LIMITS
from orcastra_core.model.counts import Counts
from orcastra_core.model.envelope import DedupMode, Envelope
from orcastra_core.model.errors import BrokerError
from orcastra_core.model.profile import Cap
from orcastra_core.model.published import STORED, Duplicate, Published, Refused, Unknown

if TYPE_CHECKING:
    from orcastra_core.backends.memory.store import Store

_LOWEST, _HIGHEST = LIMITS.priorities


def admit(store: Store, batch: Sequence[Envelope], events: Sequence[bytes] = ()) -> list[Published]:
    """Store envelopes, each on its own, and the events of those that are."""
    now = store.clock.monotonic()
    known, dead, max_body, without = store.ledger.known, store.dead, LIMITS.max_body, store.without
    answers: list[Published] = []
    answer = answers.append
    queue = None
    for envelope in batch:
        task_id = envelope.id
        if task_id in known or (dead and task_id in dead):
            answer(_known(store, envelope, now))
        elif len(envelope.body) > max_body:
            answer(Refused(f"the body has {len(envelope.body)} bytes; at most {max_body} are taken"))
        elif (
            envelope.due is None
            and envelope.dedup is None
            and envelope.order_by is None
            and not without
            and not envelope.headers
            and not envelope.extras
        ):
            if queue is None or queue.name != envelope.queue:
                if queue is not None and queue.waiters:
                    queue.wake()
                queue = store.queue(envelope.queue)
            level = queue.levels.get(envelope.priority)
            if level is None:
                if not _LOWEST <= envelope.priority <= _HIGHEST:
                    answer(_priority_refused(envelope.priority))
                    continue
                level = queue.level(envelope.priority)
            entry = Entry(envelope, queue, level, envelope.counts, envelope.reply, now)
            known[task_id] = entry
            level.append(entry)
            answer(STORED)
        else:
            answer(_admit_special(store, envelope, now))
    if queue is not None and queue.waiters:
        queue.wake()
    if events:
        store.events.extend([event for event, said in zip(events, answers, strict=True) if said is STORED])
    return answers


def _known(store: Store, envelope: Envelope, now: float) -> Published:
    """Answer for an id that is known: a repeat, unless it is the next hand-over of a task that went through a scheduler."""
    entry = store.ledger.known.get(envelope.id)
    if not isinstance(entry, Entry) or not isinstance(entry.envelope, Envelope):
        return Duplicate(envelope.id)  # it has ended: whatever this is, it is late
    before = (entry.envelope.counts, *(entry.special.past if entry.special is not None else ()))
    if envelope.counts in before:
        return Duplicate(envelope.id)
    if entry.state != MOVED:
        return Unknown(
            BrokerError(f"{envelope.id} is still here with other counts; is its Moved on the way?", retryable=True)
        )
    if len(envelope.body) > LIMITS.max_body:
        return Refused(f"the body has {len(envelope.body)} bytes; at most {LIMITS.max_body} are taken")
    return _admit_special(store, envelope, now, before)


def _admit_special(store: Store, envelope: Envelope, now: float, before: tuple[Counts, ...] = ()) -> Published:
    refused = _refusal(store, envelope)
    if refused is not None:
        return refused
    queue = store.queue(envelope.queue)
    hold: Hold | None = None
    # A key that ends by start or by time may be another's by now: a task that was handed out before
    # goes on without it, for as a Duplicate it would be lost.
    if envelope.dedup is not None and (envelope.dedup.mode is DedupMode.ALIVE or not before):
        taken = take_key(store, queue, envelope.id, envelope.dedup, now)
        if not isinstance(taken, Hold):
            return Duplicate(taken)
        hold = taken
    entry = Entry(_owned(envelope), queue, queue.level(envelope.priority), envelope.counts, envelope.reply, now)
    store.ledger.known[envelope.id] = entry
    place_new(store, entry, hold, envelope.order_by, envelope.due)
    if before:
        if entry.special is None:
            entry.special = Special()
        entry.special.past = before
    return STORED


def place_new(store: Store, entry: Entry, hold: Hold | None, order_by: str | None, due: float | None) -> None:
    """Make an entry wait for the first time, with its keys."""
    may_run = True
    if hold is not None or order_by is not None:
        special = entry.special = Special()
        special.hold, special.order_by = hold, order_by
        may_run = order_by is None or line_up(entry, order_by)
    if may_run:
        store.place(entry, due)
    else:
        store.block(entry, due)


def _refusal(store: Store, envelope: Envelope) -> Refused | None:
    dedup, due = envelope.dedup, envelope.due
    if not _LOWEST <= envelope.priority <= _HIGHEST:
        return _priority_refused(envelope.priority)
    if due is not None and not due - store.clock.now() <= LIMITS.max_delay:
        return Refused(f"due is more than {LIMITS.max_delay:g} s away")
    if dedup is not None and dedup.mode is DedupMode.WINDOW and not (dedup.window or 0.0) > 0.0:
        return Refused("a dedup key for a window of time needs its window in seconds")
    if store.without:
        wanted = {
            Cap.DELAY: due is not None,
            Cap.PRIORITY: envelope.priority != 0,
            Cap.DEDUP: dedup is not None,
            Cap.ORDERED_KEY: envelope.order_by is not None,
        }
        for cap, is_wanted in wanted.items():
            if is_wanted and cap in store.without:
                return Refused(f"this broker does not offer {cap.name}: {cap.value}")
    return None


def _priority_refused(priority: int) -> Refused:
    return Refused(f"priority {priority} is not in {_LOWEST} to {_HIGHEST}")


def _owned(envelope: Envelope) -> Envelope:
    """Return an envelope whose mappings nobody else can change."""
    if not envelope.headers and not envelope.extras:
        return envelope
    return attrs.evolve(
        envelope,
        headers=MappingProxyType(copy.deepcopy(dict(envelope.headers))),
        extras=MappingProxyType(copy.deepcopy(dict(envelope.extras))),
    )
