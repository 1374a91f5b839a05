"""The profiles of a report: what a broker of a kind has to be good at."""

from __future__ import annotations

import enum
from collections.abc import Mapping

from orcastra_core.model.profile import Cap


class Tier(enum.StrEnum):
    """A profile of the report, by the name that people type. (``model.profile.Profile`` is what a broker says of itself.)"""

    CORE = "core"
    """What every broker owes."""
    WORK_QUEUE = "work-queue"
    """Delay, dead letters, cancelling, counting: what a task queue is expected to have."""
    ORDERED = "ordered"
    """Queues or keys in order."""
    RESULTS = "results"
    SCHEDULER = "scheduler"
    TRANSACTIONAL = "transactional"
    """Settling is atomic, whatever dies in it."""
    RESILIENT = "resilient"
    """Connections cut, servers restarted, processes killed: every fault was brought about and survived."""


CLAIMED_BY: Mapping[Tier, frozenset[Cap]] = {
    Tier.CORE: frozenset(),
    Tier.WORK_QUEUE: frozenset({Cap.DELAY, Cap.DEAD_LETTERS}),
    Tier.ORDERED: frozenset({Cap.ORDERED_QUEUE}),
    Tier.RESULTS: frozenset({Cap.RESULTS}),
    Tier.SCHEDULER: frozenset({Cap.SCHEDULES}),
    Tier.TRANSACTIONAL: frozenset({Cap.ATOMIC_SETTLE}),
    Tier.RESILIENT: frozenset(),
}
"""The capabilities by which a broker claims a profile; none: every broker does."""

TIER_OF_GROUP: Mapping[str, Tier] = {
    **dict.fromkeys(
        ("pub", "con", "set", "num", "ses", "conc", "life", "hon", "model", "fuzz", "ser", "run"), Tier.CORE
    ),
    **dict.fromkeys(("delay", "prio", "dedup", "dead", "can", "pause", "purge", "ins", "find", "evt"), Tier.WORK_QUEUE),
    "ord": Tier.ORDERED,
    "res": Tier.RESULTS,
    "sch": Tier.SCHEDULER,
    "tx": Tier.TRANSACTIONAL,
    "fault": Tier.RESILIENT,
    "proc": Tier.RESILIENT,
}
"""Where the cases of a group count, unless one says otherwise."""
