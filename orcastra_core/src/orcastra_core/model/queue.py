"""Queues: what they are declared with and what is in them."""

from __future__ import annotations

import attrs

from orcastra_core.model.names import QueueName


@attrs.frozen
class QueueSpec:
    """What a queue is declared with.

    Attributes:
        name: Its name.
        max_lost: A task whose holders died this often is dead-lettered instead of run again.
    """

    name: QueueName
    max_lost: int = 5


@attrs.frozen(kw_only=True)
class QueueDepth:
    """What is in a queue at one moment.

    Attributes:
        queue: Its name.
        ready: Could be handed out now.
        delayed: Not due yet.
        running: Held by sessions.
        dead: Dead letters.
        oldest: Seconds since the oldest ready envelope became ready; None when there is none.
        paused: Whether it hands out nothing.
    """

    queue: QueueName
    ready: int = 0
    delayed: int = 0
    running: int = 0
    dead: int = 0
    oldest: float | None = None
    paused: bool = False
