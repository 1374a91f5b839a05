"""The cases of transactions, on the reference broker with transactions: in this process, and behind a socket."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import pytest
from power import served_transacted
from power.transacted import Harness

from orcastra_conformance import BrokerHarness, Case, Outcome, Rows, all_cases, run_case
from orcastra_conformance.suite import started
from orcastra_core.model.profile import Cap

TRANSACTIONS = frozenset({Cap.TX_PUBLISH, Cap.TX_COMPLETE})
CASES = [case for case in all_cases() if case.group == "tx"]
OF_TASKS = [case for case in CASES if Cap.TX_COMPLETE in case.needs and Cap.TX_PUBLISH not in case.needs]
REFUSALS = [case for case in all_cases() if case.unclaimed in TRANSACTIONS]


ON_THE_WIRE = {"tx.settle-lost-reply"}
"""What an embedded store has no connection for."""


class Powerless(Harness):
    """Writes no rows."""

    @asynccontextmanager
    async def rows(self, domain: str) -> AsyncIterator[Rows]:
        async with BrokerHarness.rows(self, domain) as rows:
            yield rows


@pytest.fixture(scope="module")
def harness() -> Iterator[BrokerHarness]:
    with started(Harness()) as harness:
        yield harness


@pytest.fixture(scope="module")
def wire() -> Iterator[BrokerHarness]:
    with started(served_transacted.Harness()) as harness:
        yield harness


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_it_holds(case: Case, seed: int, harness: BrokerHarness) -> None:
    report = run_case(case, harness, seed=seed)
    wanted = Outcome.NOT_APPLICABLE if case.id in ON_THE_WIRE else Outcome.PASSED
    assert report.outcome is wanted, str(report)


@pytest.mark.parametrize("case", OF_TASKS, ids=lambda case: case.id)
def test_it_holds_on_a_wire(case: Case, wire: BrokerHarness) -> None:
    report = run_case(case, wire)
    assert report.outcome is Outcome.PASSED, str(report)


def test_there_are_cases_of_each() -> None:
    assert {cap for case in CASES for cap in case.needs} >= TRANSACTIONS
    assert all(case.needs & TRANSACTIONS for case in CASES)
    assert {case.unclaimed for case in REFUSALS} == TRANSACTIONS


@pytest.mark.parametrize("case", REFUSALS, ids=lambda case: case.id)
def test_what_is_not_claimed_is_refused(case: Case, harness: BrokerHarness) -> None:
    assert run_case(case, harness).outcome is Outcome.NOT_APPLICABLE
    with started(Harness(without=",".join(cap.name for cap in TRANSACTIONS))) as lesser:
        reports = [run_case(each, lesser) for each in (case, *CASES)]
    assert [report.outcome for report in reports] == [Outcome.PASSED] + [Outcome.UNSUPPORTED] * len(CASES), reports


def test_without_rows_nothing_is_proved() -> None:
    with started(Powerless()) as harness:
        reports = [run_case(case, harness) for case in CASES]
    assert {report.outcome for report in reports} == {Outcome.UNPROVEN}
    assert "BrokerHarness.rows" in reports[0].message
