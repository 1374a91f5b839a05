"""Faults in what a broker says of transactions: it takes what it does not claim, or claims what it does not take."""

from __future__ import annotations

import pytest

from orcastra_conformance import BrokerHarness
from orcastra_core.backends.memory.broker import MemoryBroker
from orcastra_core.backends.memory.session import MemorySession
from orcastra_core.model.profile import Cap
from power.saboteur import Spoil, saboteur
from power.transacted import Harness, TransactedBroker, TransactedSession

CALLS: dict[Cap, tuple[type, type, str, str]] = {
    Cap.TX_PUBLISH: (TransactedBroker, MemoryBroker, "publish_within", "tx.commit-shows"),
    Cap.TX_COMPLETE: (TransactedSession, MemorySession, "transaction", "tx.settle-together"),
}
"""Where each is, what has it not, the method, and a case that cannot pass without it."""


def _takes() -> Spoil:
    def spoil(patch: pytest.MonkeyPatch) -> BrokerHarness:
        patch.setattr(TransactedBroker, "open", MemoryBroker.open)
        return Harness()

    return spoil


def _lacks(cap: Cap) -> Spoil:
    def spoil(patch: pytest.MonkeyPatch) -> BrokerHarness:
        owner, without, method, _ = CALLS[cap]
        patch.setattr(owner, method, getattr(without, method))
        return Harness()

    return spoil


for _cap, _call in CALLS.items():
    _name = _cap.name.lower().replace("_", "-")
    saboteur(
        f"takes-{_name}", f"does not claim {_cap.name}, and does not refuse it", killed_by=(f"hon.refuses-{_name}",)
    )(_takes())
    saboteur(f"lacks-{_name}", f"claims {_cap.name}, and does not have it", killed_by=(_call[3],))(_lacks(_cap))
