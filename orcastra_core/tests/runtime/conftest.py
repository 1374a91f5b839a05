"""What the runtime's tests share."""

from __future__ import annotations

from typing import Any

import pytest
from core_doubles.deferring import LEAN


@pytest.fixture(params=["elsewhere", "same"])
def where(request: pytest.FixtureRequest) -> dict[str, Any]:
    """Where the Scheduler is: in a store of its own, or in the queue's."""
    if request.param == "elsewhere":
        return {"url": LEAN, "scheduler": "memory://"}
    return {"url": "memory://?without=delay"}
