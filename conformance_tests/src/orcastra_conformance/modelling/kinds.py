"""What the machine publishes and how it settles, of what a broker claims."""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from orcastra_conformance.engine.trial import FAR, Trial
from orcastra_core.model.envelope import Dedup, DedupMode
from orcastra_core.model.names import QueueName
from orcastra_core.model.profile import Cap

QUEUES = (QueueName("q"), QueueName("q:1"))
"""One is a beginning of the other."""

Fields: TypeAlias = Callable[[], Mapping[str, Any]]


def kinds_of(t: Trial) -> list[Fields]:
    """Return the kinds of envelopes worth publishing; the plainest first."""
    low, high = t.profile.limits.priorities
    short = 2 * t.moment

    def soon() -> float:
        return t.now() + short

    def keyed(key: str, mode: DedupMode = DedupMode.ALIVE, window: float | None = None) -> Dedup:
        return Dedup(key, mode, window)

    kinds: list[tuple[frozenset[Cap], Fields]] = [
        (frozenset(), dict),
        (frozenset(), lambda: {"queue": QUEUES[1]}),
        (frozenset({Cap.PRIORITY}), lambda: {"priority": high}),
        (frozenset({Cap.PRIORITY}), lambda: {"priority": low}),
        (frozenset({Cap.DEDUP}), lambda: {"dedup": keyed("a")}),
        (frozenset({Cap.DEDUP}), lambda: {"dedup": keyed("a"), "queue": QUEUES[1]}),
        (frozenset({Cap.DEDUP}), lambda: {"dedup": keyed("b")}),
        (frozenset({Cap.DEDUP}), lambda: {"dedup": keyed("a", DedupMode.UNTIL_START)}),
        (frozenset({Cap.DEDUP}), lambda: {"dedup": keyed("b", DedupMode.WINDOW, short)}),
        (frozenset({Cap.DEDUP}), lambda: {"dedup": keyed("b", DedupMode.WINDOW, FAR)}),
        (frozenset({Cap.ORDERED_KEY}), lambda: {"order_by": "o"}),
        (frozenset({Cap.ORDERED_KEY}), lambda: {"order_by": "o"}),
        (frozenset({Cap.ORDERED_KEY}), lambda: {"order_by": "p"}),
        (frozenset({Cap.ORDERED_KEY}), lambda: {"order_by": "o", "queue": QUEUES[1]}),
        (frozenset({Cap.DELAY}), lambda: {"due": soon()}),
        (frozenset({Cap.DELAY}), lambda: {"due": t.now() + FAR}),
        (frozenset({Cap.DELAY}), lambda: {"due": t.now() - FAR}),
        (frozenset({Cap.DELAY, Cap.ORDERED_KEY}), lambda: {"due": soon(), "order_by": "o"}),
        (frozenset({Cap.DELAY, Cap.DEDUP}), lambda: {"due": soon(), "dedup": keyed("a")}),
        (frozenset({Cap.DEDUP, Cap.ORDERED_KEY}), lambda: {"dedup": keyed("a"), "order_by": "o"}),
        (frozenset({Cap.PRIORITY, Cap.ORDERED_KEY}), lambda: {"priority": high, "order_by": "o"}),
    ]
    return [fields for needs, fields in kinds if t.claims(*needs)]


class How(enum.Enum):
    """How a delivery is settled."""

    COMPLETE = "complete"
    EMIT = "complete, and emit"
    RETRY = "retry"
    RETRY_SOON = "retry soon"
    RETRY_LATE = "retry in an hour"
    RELEASE = "release"
    RELEASE_SOON = "release for a moment"
    DEAD = "dead"
    MOVED = "moved"
    TWICE = "complete, and retry what was completed"
    SPENT = "settle again what was settled before"
    FORGED = "settle what was never handed out"


def ways_of(t: Trial) -> list[How]:
    """Return the ways to settle; the plainest first, the usual ones more than once."""
    ways = [How.COMPLETE, How.COMPLETE, How.EMIT, How.EMIT, How.RETRY, How.RELEASE, How.DEAD, How.DEAD, How.DEAD]
    ways += [How.TWICE, How.SPENT, How.FORGED]
    if t.claims(Cap.DELAY):
        ways += [How.RETRY_SOON, How.RETRY_LATE, How.RELEASE_SOON]
    if t.profile.limits.publish_window and t.profile.limits.settle_window:
        ways += [How.MOVED, How.MOVED]
    return ways
