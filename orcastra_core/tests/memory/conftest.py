"""A trial of the conformance suite serves as the tests' kit: clients of a fresh domain, on a clock that stands still."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from orcastra_conformance.engine.trial import Trial
from orcastra_core.backends.memory.conformance import Harness


@pytest.fixture
async def t(request: pytest.FixtureRequest) -> AsyncIterator[Trial]:
    trial = Trial(Harness(), request.node.name, 0)
    yield trial
    await trial.close()
    await trial.harness.wipe(trial.domain)
