"""Faults in handing out."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from orcastra_core.backends.memory.session import MemorySession
from orcastra_core.model.delivery import Delivery, Want
from power.saboteur import saboteur


@saboteur("one-too-many", "hands out one more delivery than was asked for", killed_by=("con.demand",))
def _(patch: pytest.MonkeyPatch) -> None:
    fetch = MemorySession.fetch

    async def greedy(self: MemorySession, want: Want, /, *, wait: float) -> Sequence[Delivery]:
        more = Want(want.limit + 1, [(queue, number + 1) for queue, number in want.queues])
        return await fetch(self, more, wait=wait)

    patch.setattr(MemorySession, "fetch", greedy)
