"""What several saboteurs do to transactions."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import pytest

from orcastra_conformance import BrokerHarness
from orcastra_core.model.errors import TransactionRolledBack
from orcastra_core.model.settlement import Settled, Settlement
from power.saboteur import Spoil
from power.transacted import Harness, Settling

Committed: TypeAlias = "Settled | TransactionRolledBack"


def committing(change: Callable[[Settling, Settlement, Callable[[], Committed]], Committed]) -> Spoil:
    """Have the commit of a settlement go another way."""

    def spoil(patch: pytest.MonkeyPatch) -> BrokerHarness:
        commit = Settling.commit

        def changed(self: Settling, settlement: Settlement) -> Committed:
            return change(self, settlement, lambda: commit(self, settlement))

        patch.setattr(Settling, "commit", changed)
        return Harness()

    return spoil
