"""Odd ways of transactions."""

from __future__ import annotations

from weakref import WeakKeyDictionary

import pytest

from orcastra_conformance import BrokerHarness
from orcastra_core.model.errors import BrokerTimeout, BrokerUnavailable
from orcastra_core.model.settlement import Settled, Settlement
from power import transacted
from power.eccentric import eccentric
from power.transacted import Harness, Settling


@eccentric(
    "one-at-a-time",
    "has one connection for settling transactions, and tells of a lost one only when asked for the third time",
    allowed_by="those who find none free wait for one, in turn … What became of the commit is not known yet: call again.",
)
def _(patch: pytest.MonkeyPatch) -> BrokerHarness:
    settle = Settling.settle
    asked: WeakKeyDictionary[Settling, int] = WeakKeyDictionary()

    async def in_doubt(self: Settling, settlement: Settlement, /) -> Settled:
        asked[self] = asked.get(self, 0) + 1
        if self.connection.cut and asked[self] < 3:
            raise (BrokerUnavailable if asked[self] == 1 else BrokerTimeout)(
                "the connection is lost; what became of it?"
            )
        return await settle(self, settlement)

    patch.setattr(transacted, "AT_ONCE", 1)
    patch.setattr(Settling, "settle", in_doubt)
    return Harness()
