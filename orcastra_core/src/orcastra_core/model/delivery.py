"""One hand-over of an envelope to a session."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import attrs

from orcastra_core.model.counts import FRESH, Counts
from orcastra_core.model.envelope import Envelope, Unreadable
from orcastra_core.model.names import QueueName

Receipt: TypeAlias = str | int | bytes
"""Proof of one hand-over within its session: opaque, hashable, unique in the session. Not unique across sessions."""


@attrs.frozen
class Delivery:
    """One hand-over of an envelope.

    Attributes:
        envelope: What to run; ``Unreadable`` where the stored bytes are no envelope.
        receipt: What the session settles it by.
        counts: As of this hand-over.
    """

    envelope: Envelope | Unreadable
    receipt: Receipt
    counts: Counts = FRESH


@attrs.frozen
class Want:
    """What a fetch asks for.

    Attributes:
        limit: At most this many deliveries in all.
        queues: Each queue with the most it may yield. The sequence is the
            precedence; within a queue higher priorities come first.
    """

    limit: int
    queues: Sequence[tuple[QueueName, int]]
