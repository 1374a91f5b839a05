"""Counting what a store holds, so that what grows without end is found."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from orcastra_core.backends.memory.entry import Entry
from orcastra_core.backends.memory.ledger import Faded

if TYPE_CHECKING:
    from orcastra_core.backends.memory.store import Store


def take(store: Store) -> dict[str, int]:
    """Return the counts by kind; not the places of removed entries, which are let go of in bulk."""
    kinds = Counter(
        "tasks" if isinstance(known, Entry) else "remembered" if isinstance(known, Faded) else "results"
        for known in store.ledger.known.values()
    )
    queues = store.queues.values()
    return {
        "tasks": kinds["tasks"],
        "results": kinds["results"],
        "remembered": kinds["remembered"],
        "ready": sum(queue.ready() for queue in queues),
        "queues": len(store.queues),
        "dedup keys": sum(len(queue.holds) for queue in queues),
        "ordering keys": sum(len(queue.lines) for queue in queues),
        "calls that wait": sum(len(queue.waiters) for queue in queues),
        "sessions": len(store.sessions),
        "orphans": len(store.orphans),
        "dead letters": len(store.dead),
        "feeds": len(store.feeds),
        "schedules": len(store.schedules),
        "events": len(store.events),
    }
