"""Tasks that failed for good."""

from __future__ import annotations

import attrs

from orcastra_core.model.counts import Counts
from orcastra_core.model.envelope import Envelope, Unreadable
from orcastra_core.model.ids import TaskId
from orcastra_core.model.names import QueueName
from orcastra_core.model.result import ErrorInfo

DEAD_LETTER_TTL = 30 * 86400.0
"""Seconds a dead letter is kept."""


@attrs.frozen(kw_only=True)
class DeadLetter:
    """A task that failed for good, kept whole.

    Attributes:
        id: The task.
        queue: Where it came from and where a replay puts it.
        envelope: As it was; ``Unreadable`` has the raw bytes.
        counts: As they were at the end.
        reason: One line for people.
        error: The last error.
        at: When, Unix seconds of the store's clock.
    """

    id: TaskId
    queue: QueueName
    envelope: Envelope | Unreadable
    counts: Counts
    reason: str
    error: ErrorInfo
    at: float
