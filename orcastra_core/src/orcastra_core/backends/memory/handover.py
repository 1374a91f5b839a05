"""Handing out, handing back, and what ends a session."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from orcastra_core.backends.memory.entry import ORPHANED, READY, RUNNING, Entry
from orcastra_core.backends.memory.keys import started
from orcastra_core.backends.memory.session_state import SessionState
from orcastra_core.model.delivery import Delivery, Want
from orcastra_core.model.names import SessionId
from orcastra_core.model.session import Lost
from orcastra_core.serialization import event_codec

if TYPE_CHECKING:
    from orcastra_core.backends.memory.store import Store


def take(store: Store, session: SessionState, want: Want) -> list[Delivery]:
    """Hand out what ``want`` asks for, and wake the next fetch if something is left."""
    room, held, receipt = want.limit, session.held, store.receipts
    again = _again(session, want) if session.disowned else []
    taken = again[:]
    room -= len(taken)
    for name, most in want.queues:
        if room <= 0:
            break
        queue = store.queues.get(name) or store.queue(name)
        if queue.paused:
            continue
        if again:
            most -= sum(one.envelope.queue == name for one in again)
        first = number = min(most, room)
        for level in queue.order:
            while number > 0 and level:
                entry = level.popleft()
                if entry.state != READY:
                    queue.gone -= 1
                    continue
                receipt += 1
                entry.state = RUNNING
                entry.session = session
                entry.receipt = receipt
                held[receipt] = entry
                if entry.special is not None:
                    started(store, entry)
                taken.append(Delivery(entry.envelope, receipt, entry.counts))
                number -= 1
        room -= first - number
        if queue.waiters and queue.ready():
            queue.wake()
    store.receipts = receipt
    return taken


def _again(session: SessionState, want: Want) -> list[Delivery]:
    """Hand out what the session holds and said its caller has not, within what ``want`` asks for."""
    room, quota = want.limit, dict(want.queues)
    taken: list[Delivery] = []
    for receipt in list(session.disowned):
        entry = session.held.get(receipt)
        if entry is None:
            del session.disowned[receipt]
        elif room > 0 and quota.get(entry.queue.name, 0) > 0:
            del session.disowned[receipt]
            room -= 1
            quota[entry.queue.name] -= 1
            taken.append(Delivery(entry.envelope, entry.receipt, entry.counts))
    return taken


def pass_on(store: Store, want: Want) -> None:
    """Wake another fetch in place of one that was woken and then cancelled."""
    for name, _ in want.queues:
        queue = store.queue(name)
        if queue.waiters and not queue.paused and queue.ready():
            queue.wake()


def hand_back(entries: Iterable[Entry], store: Store) -> None:
    """Put entries that were handed out in this order back to the heads of their levels."""
    for entry in reversed(list(entries)):
        store.put_back(entry)


def reap(store: Store, session: SessionState) -> None:
    """End a session for good; its deliveries become orphans. One step: nothing under it is heard from now on."""
    del store.sessions[session.id]
    for entry in session.held.values():
        entry.state = ORPHANED
        store.orphans.append(entry)
    session.held.clear()
    session.answers.clear()
    session.end(fenced=True)


def rehome(store: Store, limit: int, *, only: SessionId | None = None) -> list[Lost]:
    """Hand orphans out again, ``lost`` + 1, at most ``limit`` of them.

    The newest first, so that what is put back in a later call still comes ahead of it.
    """
    chosen: list[Entry] = []
    left: list[Entry] = []
    while store.orphans and len(chosen) < limit:
        entry = store.orphans.pop()
        if entry.state != ORPHANED:
            continue  # cancelled meanwhile
        (chosen if only is None or entry.session.id == only else left).append(entry)
    store.orphans.extend(reversed(left))
    lost: list[Lost] = []
    for entry in chosen:
        entry.counts = entry.counts.bereaved()
        store.put_back(entry)
        lost.append(Lost(entry.id, entry.queue.name, entry.counts, entry.session.id))
    lost.reverse()
    at = store.clock.now()
    store.events.extend([event_codec.lost(one, at) for one in lost])
    return lost


def leave(store: Store, session: SessionState) -> None:
    """Release what a session holds and end it."""
    del store.sessions[session.id]
    for entry in session.held.values():
        entry.counts = entry.counts.handed_back()
    hand_back(session.held.values(), store)
    session.held.clear()
    session.end(fenced=False)
