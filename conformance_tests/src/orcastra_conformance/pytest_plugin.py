"""The adapter for pytest: two lines in a backend's own tests.

::

    from orcastra_conformance.pytest_plugin import conformance
    test_conformance = conformance(Harness)
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from typing import Any

import pytest

from orcastra_conformance.catalogue import all_cases
from orcastra_conformance.engine.case import Case
from orcastra_conformance.engine.harness import BrokerHarness
from orcastra_conformance.engine.outcome import Outcome
from orcastra_conformance.engine.runner import run_case

SEEDS = "ORCASTRA_CONFORMANCE_SEEDS"


def conformance(make: Callable[[], BrokerHarness], *, seed: int = 0) -> Any:
    """Return a test function, parametrised over every case.

    The harness is made and started with the first case of the module, and
    stopped at the module's end. Only a passed case passes: one whose capability is not
    claimed, or that the harness has no power to prove, is reported as skipped with the reason.

    The environment's ``ORCASTRA_CONFORMANCE_SEEDS`` runs every case that often,
    from ``seed`` on.
    """
    seeds = range(seed, seed + int(os.environ.get(SEEDS, "1")))
    running: list[BrokerHarness] = []

    def stop() -> None:
        asyncio.run(running.pop().stop())

    trials = [
        pytest.param(case, number, id=case.id if len(seeds) == 1 else f"{case.id}@{number}")
        for case in all_cases()
        for number in seeds
    ]

    @pytest.mark.parametrize(("case", "seed"), trials)
    def test_case(case: Case, seed: int, request: pytest.FixtureRequest) -> None:
        if not running:
            harness = make()
            harness.facts = asyncio.run(harness.start())
            running.append(harness)
            module = request.node.getparent(pytest.Module)
            module.addfinalizer(stop)
        report = run_case(case, running[0], seed=seed)
        if report.outcome in (Outcome.UNSUPPORTED, Outcome.NOT_APPLICABLE, Outcome.UNPROVEN):
            pytest.skip(f"{report.outcome.value}: {report.message}")
        if report.outcome is not Outcome.PASSED:
            pytest.fail(str(report), pytrace=False)

    return test_case
