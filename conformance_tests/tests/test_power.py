"""The suite's own power: every case notices the faults that it is there for."""

from __future__ import annotations

from collections import Counter

import attrs
import pytest
from power.matrix import PAGE, page, unlisted
from power.saboteur import Saboteur, reference
from power.saboteurs import all_saboteurs

from orcastra_conformance import Outcome, all_cases, run_case
from orcastra_conformance.cases import model
from orcastra_conformance.engine.case import BUDGET
from orcastra_conformance.suite import started
from orcastra_core.backends.memory.conformance import Harness

SABOTEURS = all_saboteurs()
CASES = {case.id: case for case in all_cases()}
each_saboteur = pytest.mark.parametrize("saboteur", SABOTEURS, ids=lambda saboteur: saboteur.id)

QUICK, REAL = 1.0, 3.0
"""Seconds within which a fault is noticed: in memory, and where there are connections and processes."""


@each_saboteur
def test_a_saboteur_is_killed_by_the_cases_that_it_names(saboteur: Saboteur) -> None:
    with saboteur.at_work() as harness, started(harness):
        reports = [run_case(CASES[case_id], harness) for case_id in saboteur.killed_by]
        limit = QUICK if isinstance(harness, Harness) else REAL
    for report in reports:
        assert report.outcome is Outcome.FAILED, f"{saboteur.fault}: not noticed by {report}"
        assert not report.timed_out, f"{saboteur.fault}: nothing was expected, only time ran out: {report}"
        assert report.seconds < limit, f"{saboteur.fault}: noticed late: {report}"


def test_the_reference_broker_passes_what_kills_saboteurs() -> None:
    listed = {case_id for saboteur in SABOTEURS for case_id in saboteur.killed_by}
    with started(reference()) as harness:
        reports = [run_case(CASES[case_id], harness) for case_id in sorted(listed)]
    assert [str(r) for r in reports if r.outcome in (Outcome.FAILED, Outcome.HARNESS_ERROR)] == []


def test_every_case_that_counts_kills_a_saboteur() -> None:
    assert unlisted(SABOTEURS, CASES.values()) == []


def test_saboteurs_name_cases_that_exist_each_once() -> None:
    assert len({saboteur.id for saboteur in SABOTEURS}) == len(SABOTEURS) >= 40
    for saboteur in SABOTEURS:
        assert saboteur.fault, f"{saboteur.id} does not say what it does wrong"
        assert Counter(saboteur.killed_by) == Counter(set(saboteur.killed_by) & CASES.keys()), saboteur.id


def test_the_committed_table_is_this_one() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(SABOTEURS, list(CASES.values())), (
        "renew it: cd conformance_tests/tests && python -m power.matrix --write"
    )


@pytest.mark.proof
@pytest.mark.timeout(600)
@each_saboteur
def test_whatever_a_saboteur_does_the_suite_has_a_verdict(saboteur: Saboteur, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model, "USUAL", attrs.evolve(model.USUAL, examples=8, steps=40))
    with saboteur.at_work() as harness, started(harness):
        if not isinstance(harness, Harness):
            pytest.skip("only on memory://")
        reports = [run_case(attrs.evolve(case, budget=min(case.budget, BUDGET)), harness) for case in CASES.values()]
    noticed = {report.case.id for report in reports if report.outcome is Outcome.FAILED}
    print(f"{saboteur.id} is also killed by {', '.join(sorted(noticed - set(saboteur.killed_by))) or 'nothing else'}")
    assert [str(report) for report in reports if report.outcome is Outcome.HARNESS_ERROR] == []
