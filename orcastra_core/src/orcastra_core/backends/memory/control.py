"""Cancelling, finding, counting, pausing and purging."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

from orcastra_core.backends.memory.entry import (
    BLOCKED,
    DELAYED,
    GONE,
    MOVED,
    ORPHANED,
    READY,
    RUNNING,
    Entry,
    Special,
)
from orcastra_core.backends.memory.keys import ended, free_key
from orcastra_core.model.ids import TaskId
from orcastra_core.model.names import QueueName
from orcastra_core.model.queue import QueueDepth
from orcastra_core.model.task_state import Cancellation, Cancelled, State, TaskState

if TYPE_CHECKING:
    from orcastra_core.backends.memory.store import Store

_STATES = {
    READY: State.READY,
    DELAYED: State.DELAYED,
    BLOCKED: State.DELAYED,
    RUNNING: State.RUNNING,
    ORPHANED: State.RUNNING,
    MOVED: State.DELAYED,
    GONE: State.FINISHED,
}


def cancel(store: Store, wish: Cancellation) -> Cancelled:
    """Cancel one task."""
    entry = store.ledger.known.get(wish.id)
    if not isinstance(entry, Entry):
        return Cancelled.TOO_LATE if entry is not None or wish.id in store.dead else Cancelled.UNKNOWN
    if entry.state == RUNNING:
        if entry.special is None:
            entry.special = Special()
        entry.special.cancel = True  # the next holder is told too, should this one die
        entry.session.want_cancel(entry.id)
        return Cancelled.SIGNALLED
    store.remove_waiting(entry)
    store.finish(entry, wish.result)
    if wish.events:
        store.events.extend([wish.events])
    return Cancelled.REMOVED


def find(store: Store, task_id: TaskId) -> TaskState | None:
    """Say where a task is."""
    dead = store.dead.get(task_id)
    if dead is not None:
        return TaskState(id=task_id, state=State.DEAD, envelope=dead.envelope, counts=dead.counts)
    entry = store.ledger.known.get(task_id)
    if entry is None:
        return None
    if not isinstance(entry, Entry):
        return TaskState(id=task_id, state=State.FINISHED)
    return TaskState(
        id=task_id,
        state=_STATES[entry.state],
        envelope=entry.envelope,
        counts=entry.counts,
        due=entry.due if entry.state == DELAYED else None,
        session=entry.session.id if entry.state in (RUNNING, ORPHANED) else None,
    )


def inspect(store: Store, names: Sequence[QueueName]) -> list[QueueDepth]:
    """Count what is in queues. Takes time with the number of tasks that run, not of those that wait."""
    running = Counter(entry.queue.name for session in store.sessions.values() for entry in session.held.values())
    running.update(entry.queue.name for entry in store.orphans if entry.state == ORPHANED)
    dead = Counter(letter.queue for letter in store.dead.values())
    return [_depth(store, name, running[name], dead[name]) for name in names]


def purge(store: Store, name: QueueName, states: frozenset[State]) -> int:
    """Forget the tasks of a queue that are in one of ``states``."""
    queue = store.queues.get(name)
    waiting = [
        entry
        for entry in (store.ledger.known.values() if queue is not None else ())
        if isinstance(entry, Entry) and entry.queue is queue and entry.state != MOVED and _STATES[entry.state] in states
    ]
    for entry in waiting:  # first all of them, so that no key hands on to one that goes too
        store.remove_waiting(entry)
    for entry in waiting:
        del store.ledger.known[entry.id]
        if entry.special is not None:
            ended(store, entry, forget=True)
    if queue is not None:
        queue.sweep_out()
    buried = [letter for letter in store.dead.values() if letter.queue == name] if State.DEAD in states else []
    for letter in buried:
        del store.dead[letter.id]
        store.ledger.known.pop(letter.id, None)
        if queue is not None:
            free_key(queue, letter)
    return len(waiting) + len(buried)


def _depth(store: Store, name: QueueName, running: int, dead: int) -> QueueDepth:
    queue = store.queues.get(name)
    if queue is None:
        return QueueDepth(queue=name, dead=dead)
    heads = [next((entry.ready_at for entry in level if entry.state == READY), None) for level in queue.order]
    oldest = min((moment for moment in heads if moment is not None), default=None)
    return QueueDepth(
        queue=name,
        ready=queue.ready(),
        delayed=queue.delayed,
        running=running,
        dead=dead,
        oldest=None if oldest is None else max(0.0, store.clock.monotonic() - oldest),
        paused=queue.paused,
    )
