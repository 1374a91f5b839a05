"""The adapter for pytest: two lines in a backend's own tests.

::

    from orcastra_conformance.pytest_plugin import conformance
    test_conformance = conformance(Harness)
"""

from __future__ import annotations

import asyncio
import os
import shlex
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import attrs
import pytest

from orcastra_conformance.catalogue import all_cases
from orcastra_conformance.committed import Committed
from orcastra_conformance.engine.case import Case
from orcastra_conformance.engine.harness import BrokerHarness
from orcastra_conformance.engine.outcome import CaseReport, Outcome
from orcastra_conformance.engine.preflight import Preflight
from orcastra_conformance.engine.runner import run_case
from orcastra_conformance.reports.deviations import Deviations, load_deviations
from orcastra_conformance.suite import readied, settled

SEEDS = "ORCASTRA_CONFORMANCE_SEEDS"

MakeHarness: TypeAlias = Callable[[], BrokerHarness]


def conformance(make: MakeHarness, *, seed: int = 0, report: Path | None = None, deviations: Path | None = None) -> Any:
    """Return a test function, parametrised over every case.

    The harness is made, started and looked at with the first case of the module, and stopped at the module's end. One that
    is not fit fails the first test and skips the others. Only a passed case passes: one whose capability is not
    claimed, or that the harness has no power to prove, is reported as skipped with the reason.

    The environment's ``ORCASTRA_CONFORMANCE_SEEDS`` runs every case that often,
    from ``seed`` on.

    Args:
        make: The harness's class, or what makes one.
        seed: What chance is drawn from.
        report: A committed report that must still be true, case by case and in what the broker claims; a file
            made by ``orcastra conformance run NAME --archive DIR``, or the ``report.json`` of ``--report DIR``.
        deviations: The known gaps: a ``deviations.toml``.
    """
    number = int(os.environ.get(SEEDS, "1"))
    seeds = range(seed, seed + number)
    prefix = f"{SEEDS}={number} " if number > 1 else ""
    committed = Committed(report) if report is not None else None
    bench = Bench(make, committed=committed, deviations=load_deviations(deviations) if deviations is not None else None)
    trials = [
        pytest.param(case, each, id=case.id if number == 1 else f"{case.id}@{each}")
        for case in all_cases()
        for each in seeds
    ]
    if committed is not None:
        trials.append(pytest.param(None, seed, id="committed-report"))

    @pytest.mark.parametrize(("case", "seed"), trials)
    def test_case(case: Case | None, seed: int, request: pytest.FixtureRequest) -> None:
        if not bench.running:
            module = request.node.getparent(pytest.Module)
            module.addfinalizer(bench.stop)
        if case is None:
            bench.compare()
        else:
            bench.prove(case, seed=seed, again=f"{prefix}pytest {shlex.quote(request.node.nodeid)}")

    return test_case


class Bench:
    """A harness that starts with the first case that needs it.

    Args:
        make: What makes it.
        committed: What was reported once and must still be so.
        deviations: The known gaps.
    """

    def __init__(
        self, make: MakeHarness, *, committed: Committed | None = None, deviations: Deviations | None = None
    ) -> None:
        self._make = make
        self._committed = committed
        self._deviations = deviations
        self._harness: BrokerHarness | None = None
        self._fitness = Preflight()

    @property
    def running(self) -> bool:
        """Whether it was started."""
        return self._harness is not None

    def prove(self, case: Case, *, seed: int, again: str) -> None:
        """Run a case and end the test as it ends.

        Args:
            case: Which.
            seed: What chance is drawn from.
            again: The command that runs it again.
        """
        harness = self._ready()
        report = settled(run_case(case, harness, seed=seed), harness, self._deviations)
        report = attrs.evolve(report, reproduce=again)
        if report.outcome in (Outcome.FAILED, Outcome.HARNESS_ERROR):
            pytest.fail(str(report), pytrace=False)
        if self._committed is not None:
            _fail_for(self._committed.of_case(report, harness))
        _end_as(report)

    def compare(self) -> None:
        """Fail if the broker's claims are not those of the committed report, or cases in it are gone."""
        harness = self._ready()
        assert self._committed is not None
        _fail_for(self._committed.of_broker(self._fitness, harness, ids={case.id for case in all_cases()}))

    def stop(self) -> None:
        """Stop the harness, if it was started."""
        harness, self._harness = self._harness, None
        if harness is not None:
            asyncio.run(harness.stop())

    def _ready(self) -> BrokerHarness:
        if self._harness is None:
            self._harness = self._make()
            self._fitness = readied(self._harness)
            if not self._fitness.fit:
                said = "\n".join(f"  {failure}" for failure in self._fitness.failures)
                pytest.fail(f"the harness is not fit, so no case was run:\n{said}", pytrace=False)
        if not self._fitness.fit:
            pytest.skip("the harness is not fit; the first failure of this module says why")
        return self._harness


def _fail_for(differences: Sequence[str]) -> None:
    if differences:
        pytest.fail("\n".join(differences), pytrace=False)


def _end_as(report: CaseReport) -> None:
    if report.outcome is not Outcome.PASSED:
        pytest.skip(f"{report.outcome.value}: {report.message}")
