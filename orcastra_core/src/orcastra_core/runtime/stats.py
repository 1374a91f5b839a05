"""What a worker has done so far."""

from __future__ import annotations

import attrs


@attrs.define
class Stats:
    """Counters of one worker process; they only grow.

    Attributes:
        fetched: Deliveries taken over.
        completed: Attempts that returned.
        failed: Attempts that raised or timed out.
        released: Deliveries handed back.
        cancelled: Running tasks cancelled.
        stale: Outcomes that came too late and were thrown away.
        recovered: Deliveries of dead sessions that our sweeps handed out again.
    """

    fetched: int = 0
    completed: int = 0
    failed: int = 0
    released: int = 0
    cancelled: int = 0
    stale: int = 0
    recovered: int = 0

    def add(self, other: Stats) -> None:
        """Count what ``other`` counted."""
        for name in attrs.fields_dict(Stats):
            setattr(self, name, getattr(self, name) + getattr(other, name))
