"""The reference broker as one whose server reaps by itself: dead sessions end when somebody fetches, and sweeps are empty."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import attrs
import pytest

from orcastra_core.backends.memory import handover
from orcastra_core.backends.memory.broker import MemoryBroker
from orcastra_core.backends.memory.conformance import Harness
from orcastra_core.backends.memory.session import MemorySession
from orcastra_core.backends.memory.store import Store
from orcastra_core.model.delivery import Delivery, Want
from orcastra_core.model.profile import Profile
from orcastra_core.model.session import Swept
from power.saboteur import SOON


def reap(store: Store) -> None:
    """End the sessions that have lapsed, and hand out again what they held."""
    now = store.clock.monotonic()
    for session in [one for one in store.sessions.values() if one.lapsed(now)]:
        handover.reap(store, session)
    handover.rehome(store, len(store.orphans))


def install(patch: pytest.MonkeyPatch, reap: Callable[[Store], None] = reap) -> Harness:
    """Have ``memory://`` reap like this, whenever somebody fetches; return a harness for it."""
    opened, fetch = MemoryBroker.open, MemorySession.fetch

    async def open_(self: MemoryBroker) -> Profile:
        return attrs.evolve(await opened(self), server_reaps=True)

    async def reaped(self: MemorySession, want: Want, /, *, wait: float) -> Sequence[Delivery]:
        with self._store.lock:
            reap(self._store)
        return await fetch(self, want, wait=wait)

    async def nothing_to_do(self: MemoryBroker, *, limit: int) -> Swept:
        self._gate.check()
        return Swept()

    patch.setattr(MemoryBroker, "open", open_)
    patch.setattr(MemoryBroker, "sweep", nothing_to_do)
    patch.setattr(MemorySession, "fetch", reaped)
    harness = Harness(without="STABLE_SESSION,FENCED,TX_PUBLISH,TX_COMPLETE")
    harness.soon = SOON
    return harness
