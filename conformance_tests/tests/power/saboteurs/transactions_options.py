"""Faults in what asks for a delay, a priority or a key in the caller's transaction."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs
import pytest

from orcastra_conformance import BrokerHarness
from orcastra_core.model.envelope import Envelope
from orcastra_core.model.ids import TaskId
from orcastra_core.model.published import STORED, Duplicate, Published
from power.saboteur import Spoil, saboteur
from power.transacted import Harness
from power.transacted_store import Connection, locks_of


def _without(**fields: Any) -> Spoil:
    def spoil(patch: pytest.MonkeyPatch) -> BrokerHarness:
        stage = Connection.stage

        async def plain(self: Connection, envelope: Envelope, event: bytes) -> Published:
            return await stage(self, attrs.evolve(envelope, **fields), event)

        patch.setattr(Connection, "stage", plain)
        return Harness()

    return spoil


for _case, _name, _field, _plain in (
    ("tx.delay", "delay", "due", None),
    ("tx.priority", "priority", "priority", 0),
    ("tx.ordering-key", "ordering-key", "order_by", None),
):
    saboteur(f"no-{_name}-within", f"forgets the {_name} of what is published in a transaction", killed_by=(_case,))(
        _without(**{_field: _plain})
    )


@saboteur(
    "sees-committed-keys-only",
    "does not wait for a dedup key that another transaction has just taken",
    killed_by=("tx.dedup-waits-for-commit", "tx.dedup-waits-for-rollback"),
)
def _(patch: pytest.MonkeyPatch) -> BrokerHarness:
    stage = Connection.stage

    async def hasty(self: Connection, envelope: Envelope, event: bytes) -> Published:
        kept = {lock: self.database.locks.pop(lock) for lock in locks_of(envelope) if lock in self.database.locks}
        try:
            return await stage(self, envelope, event)
        finally:
            self.database.locks.update(kept)

    patch.setattr(Connection, "stage", hasty)
    return Harness()


def _after_waiting(answer: Callable[[TaskId], Published]) -> Spoil:
    def spoil(patch: pytest.MonkeyPatch) -> BrokerHarness:
        stage = Connection.stage

        async def decided(self: Connection, envelope: Envelope, event: bytes) -> Published:
            locks = self.database.locks
            holders = [locks[lock][1] for lock in locks_of(envelope) if lock in locks and locks[lock][0] is not self]
            said = await stage(self, envelope, event)
            return answer(holders[0]) if holders else said

        patch.setattr(Connection, "stage", decided)
        return Harness()

    return spoil


saboteur(
    "waits-and-stores",
    "waits for a dedup key, and does not look whether it is free then",
    killed_by=("tx.dedup-waits-for-commit",),
)(_after_waiting(lambda _: STORED))
saboteur(
    "waits-and-gives-up",
    "waits for a dedup key, and takes it for held whatever became of its holder",
    killed_by=("tx.dedup-waits-for-rollback",),
)(_after_waiting(Duplicate))
