"""The rules by which outcomes become a verdict."""

from __future__ import annotations

import pytest

from orcastra_conformance.engine.outcome import Outcome
from orcastra_conformance.reports.verdict import EXIT_CODES, Verdict, judge_profile, judge_run

PASSED = {Outcome.PASSED: 3}


@pytest.mark.parametrize(
    "beside, verdict",
    [
        ({}, Verdict.SUCCESS),
        ({Outcome.FAILED: 1}, Verdict.FAILURE),
        ({Outcome.HARNESS_ERROR: 1}, Verdict.FAILURE),
        ({Outcome.FAILED: 1, Outcome.UNPROVEN: 5}, Verdict.FAILURE),
        ({Outcome.UNPROVEN: 1}, Verdict.PARTIAL),
        ({Outcome.DEVIATION: 1}, Verdict.PARTIAL),
        ({Outcome.UNSUPPORTED: 9, Outcome.NOT_APPLICABLE: 9}, Verdict.SUCCESS),
        ({Outcome.PROVISIONAL: 9}, Verdict.SUCCESS),
    ],
)
def test_what_stands_beside_passes_makes_the_verdict(beside: dict[Outcome, int], verdict: Verdict) -> None:
    assert judge_profile({**PASSED, **beside}, claimed=True) is verdict
    assert judge_run({**PASSED, **beside}) is verdict


@pytest.mark.parametrize(
    "counts",
    [
        {},
        {Outcome.UNSUPPORTED: 1},
        {Outcome.NOT_APPLICABLE: 1},
        {Outcome.PROVISIONAL: 1},
    ],
)
def test_without_a_pass_nothing_is_proved(counts: dict[Outcome, int]) -> None:
    assert judge_profile(counts, claimed=True) is Verdict.NOTHING
    assert judge_run(counts) is Verdict.NOTHING


@pytest.mark.parametrize("outcome", [Outcome.UNPROVEN, Outcome.DEVIATION, Outcome.HARNESS_ERROR])
def test_a_run_without_a_pass_proves_nothing_even_if_something_is_missing(outcome: Outcome) -> None:
    assert judge_run({outcome: 2}) is Verdict.NOTHING


def test_a_run_in_which_all_failed_did_prove_something() -> None:
    assert judge_run({Outcome.FAILED: 150}) is Verdict.FAILURE


def test_what_is_not_claimed_is_neither_success_nor_partial_but_may_fail() -> None:
    assert judge_profile(PASSED, claimed=False) is Verdict.NOT_CLAIMED
    assert judge_profile({**PASSED, Outcome.UNPROVEN: 1}, claimed=False) is Verdict.NOT_CLAIMED
    assert judge_profile({**PASSED, Outcome.FAILED: 1}, claimed=False) is Verdict.FAILURE


def test_an_unfit_harness_proves_nothing_and_one_that_cannot_be_stopped_fails() -> None:
    assert judge_run({}, unfit=True) is Verdict.NOTHING
    assert judge_run(PASSED, left_behind=True) is Verdict.FAILURE


def test_every_verdict_of_a_run_has_an_exit_code_of_its_own() -> None:
    assert EXIT_CODES == {Verdict.SUCCESS: 0, Verdict.FAILURE: 1, Verdict.PARTIAL: 2, Verdict.NOTHING: 3}


def test_every_outcome_has_its_rule() -> None:
    """A new outcome has to be placed: it harms, or it is listed here."""
    harmless = {Outcome.PASSED, Outcome.UNSUPPORTED, Outcome.NOT_APPLICABLE, Outcome.PROVISIONAL}
    harming = {outcome for outcome in Outcome if judge_run({**PASSED, outcome: 3}) is not Verdict.SUCCESS}
    assert harming == set(Outcome) - harmless
