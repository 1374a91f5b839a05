"""The suite's fairness: brokers that are merely odd pass it."""

from __future__ import annotations

from collections import Counter

import attrs
import pytest
from power.eccentric import Eccentric
from power.eccentrics import all_eccentrics

from orcastra_conformance import Outcome, all_cases, run_case
from orcastra_conformance.cases import model
from orcastra_conformance.suite import started

ECCENTRICS = all_eccentrics()
NOTHING_WRONG = {Outcome.PASSED, Outcome.UNSUPPORTED, Outcome.NOT_APPLICABLE}
FEW = attrs.evolve(model.USUAL, examples=8, steps=40)
each_eccentric = pytest.mark.parametrize("eccentric", ECCENTRICS, ids=lambda eccentric: eccentric.id)


@each_eccentric
def test_an_eccentric_passes(eccentric: Eccentric, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model, "USUAL", FEW)
    prove(eccentric)


@pytest.mark.proof
@pytest.mark.timeout(300)
@each_eccentric
def test_an_eccentric_passes_in_full(eccentric: Eccentric) -> None:
    prove(eccentric, seed=7)


def prove(eccentric: Eccentric, *, seed: int = 0) -> None:
    with eccentric.at_work() as harness, started(harness):
        reports = [run_case(case, harness, seed=seed) for case in all_cases()]
    wrong = [str(report) for report in reports if report.outcome not in NOTHING_WRONG]
    assert wrong == [], f"{eccentric.oddity}; the contract: «{eccentric.allowed_by}»\n\n" + "\n\n".join(wrong)
    assert Counter(report.outcome for report in reports)[Outcome.PASSED] > len(reports) / 2, "hardly anything was tried"


def test_there_are_eccentrics() -> None:
    assert len({eccentric.id for eccentric in ECCENTRICS}) >= 8
