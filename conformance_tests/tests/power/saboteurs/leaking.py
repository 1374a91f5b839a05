"""Faults that leave something behind."""

from __future__ import annotations

import pytest

from orcastra_core.backends.memory import handover
from orcastra_core.backends.memory.ledger import Ledger
from orcastra_core.backends.memory.results import MemoryFeed
from orcastra_core.backends.memory.session_state import SessionState
from orcastra_core.backends.memory.store import Store
from power.saboteur import saboteur


@saboteur("keeps-closed-feeds", "keeps the channels of feeds that were closed", killed_by=("life.no-growth",))
def _(patch: pytest.MonkeyPatch) -> None:
    async def close(self: MemoryFeed) -> None:
        self._state.close()

    patch.setattr(MemoryFeed, "close", close)


@saboteur(
    "keeps-left-sessions",
    "keeps the records of sessions that were left",
    killed_by=("life.no-growth", "life.nothing-left"),
)
def _(patch: pytest.MonkeyPatch) -> None:
    leave = handover.leave

    def reluctant(store: Store, session: SessionState) -> None:
        leave(store, session)
        store.sessions[session.id] = session

    patch.setattr(handover, "leave", reluctant)


@saboteur("remembers-for-ever", "never forgets the id of a task that has ended", killed_by=("life.nothing-left",))
def _(patch: pytest.MonkeyPatch) -> None:
    retire = Ledger.retire

    def faithful(self: Ledger, now: float, limit: int) -> int:
        known = dict(self.known)
        dropped = retire(self, now, limit)
        self.known = {**known, **self.known}
        return dropped

    patch.setattr(Ledger, "retire", faithful)


@saboteur(
    "hides-the-expired",
    "keeps results past their time, and says that they are gone",
    killed_by=("res.expires-from-census",),
)
def _(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Ledger, "retire", lambda self, now, limit: 0)
