"""The engine itself: what becomes of a case, and that nothing slips through."""

from __future__ import annotations

import asyncio
import threading

import pytest

from orcastra_conformance.catalogue import all_cases
from orcastra_conformance.engine.case import Case, CaseBody
from orcastra_conformance.engine.expect import Expect, Violation
from orcastra_conformance.engine.harness import Unproven
from orcastra_conformance.engine.outcome import CaseReport, Outcome
from orcastra_conformance.engine.runner import run_case
from orcastra_conformance.engine.steps import cancelled_after, growing_steps, turns
from orcastra_conformance.engine.tiers import Tier
from orcastra_conformance.engine.trial import FAR, Trial
from orcastra_conformance.suite import run_suite
from orcastra_core.backends.memory.conformance import Harness
from orcastra_core.model.errors import BrokerUnavailable
from orcastra_core.model.profile import Cap

kept: list[object] = []


def report_of(body: CaseBody, *needs: Cap, without: str = "", budget: float = 2.0) -> CaseReport:
    harness = Harness(without=without)
    case = Case("made.up", "made", Tier.CORE, frozenset(needs), None, "it must hold", body, budget=budget)
    return run_case(case, harness, seed=7)


async def fine(t: Trial) -> None:
    broker = await t.broker()
    session, (delivery,) = await t.running(broker, t.envelope())
    await t.done(session, t.complete(delivery))


async def violates(t: Trial) -> None:
    broker = await t.broker()
    await t.stored(broker, t.envelope())
    t.expect.equal(1, 2, "one is not two")


async def violates_in_a_group(t: Trial) -> None:
    async with asyncio.TaskGroup() as group:
        group.create_task(violates(t))


async def raises(t: Trial) -> None:
    raise BrokerUnavailable("gone")


async def hangs(t: Trial) -> None:
    session = await t.session(await t.broker())
    await session.signals(wait=FAR)


async def leaves_a_task(t: Trial) -> None:
    kept.append(asyncio.get_running_loop().create_task(turns(1000)))


async def leaves_a_thread(t: Trial) -> None:
    stop = threading.Event()
    thread = threading.Thread(target=stop.wait, name="left-behind")
    thread.start()
    kept.append(stop)


async def lacks_power(t: Trial) -> None:
    raise Unproven("no such power")


def test_a_case_that_holds_passes() -> None:
    report = report_of(fine)
    assert (report.outcome, report.message) == (Outcome.PASSED, "")


@pytest.mark.parametrize(
    "body, outcome, says",
    [
        (violates, Outcome.FAILED, "one is not two"),
        (violates_in_a_group, Outcome.FAILED, "one is not two"),
        (raises, Outcome.FAILED, "BrokerUnavailable: gone"),
        (leaves_a_task, Outcome.FAILED, "tasks outlive close()"),
        (lacks_power, Outcome.UNPROVEN, "no such power"),
    ],
)
def test_what_becomes_of_a_case(body: CaseBody, outcome: Outcome, says: str) -> None:
    report = report_of(body)
    assert report.outcome is outcome
    assert says in report.message


def test_a_report_says_what_was_owed_what_was_seen_and_what_went_before() -> None:
    text = str(report_of(violates))
    for part in (
        "made.up: failed",
        "seed 7",
        "owed: it must hold",
        "one is not two",
        "want: 2",
        "got:  1",
        "publish [",
    ):
        assert part in text


def test_a_thread_that_outlives_close_fails_the_case() -> None:
    report = report_of(leaves_a_thread)
    for stop in kept:
        if isinstance(stop, threading.Event):
            stop.set()
    assert report.outcome is Outcome.FAILED
    assert "left-behind" in report.message


def test_a_case_that_hangs_fails_by_its_budget() -> None:
    report = report_of(hangs, budget=0.05)
    assert (report.outcome, report.timed_out) == (Outcome.FAILED, True)
    assert "budget" in report.message


def test_an_unclaimed_need_runs_the_refusal_instead_of_the_case() -> None:
    report = report_of(violates, Cap.DELAY, without="DELAY")
    assert report.outcome is Outcome.UNSUPPORTED
    assert any("Refused" in entry for entry in report.history), "the refusal was really tried"


def test_a_broker_that_takes_what_it_does_not_claim_fails() -> None:
    class Boaster(Harness):
        async def broker(self, domain: str) -> object:  # type: ignore[override]
            lesser, full = await super().broker(domain), await Harness().broker(domain)
            lesser.publish, lesser.cancel = full.publish, full.cancel  # type: ignore[method-assign]
            await full.open()
            return lesser

    for cap in (Cap.DELAY, Cap.CANCEL):
        case = Case("made.up", "made", Tier.CORE, frozenset({cap}), None, "it must hold", fine)
        assert run_case(case, Boaster(without=cap.name)).outcome is Outcome.FAILED, f"{cap.name} was not refused"


def test_a_broken_harness_is_told_from_a_broken_broker() -> None:
    class Broken(Harness):
        async def wipe(self, domain: str) -> None:
            raise OSError("the harness broke")

    case = Case("made.up", "made", Tier.CORE, frozenset(), None, "it must hold", fine)
    report = run_case(case, Broken())
    assert report.outcome is Outcome.HARNESS_ERROR
    assert "the harness broke" in report.message


def test_ids_are_unique_and_named_after_their_group() -> None:
    cases = all_cases()
    assert len({case.id for case in cases}) == len(cases) >= 100
    assert all(case.id.startswith(f"{case.group}.") and case.why for case in cases)


def test_run_suite_gives_a_report_for_each_case() -> None:
    chosen = [case for case in all_cases() if case.group == "pub"]
    reports = run_suite(Harness(), cases=chosen).cases
    assert [report.case for report in reports] == chosen
    # what needs another process does not apply to a store that lives in this one
    assert {report.outcome for report in reports} <= {Outcome.PASSED, Outcome.NOT_APPLICABLE}
    assert Outcome.PASSED in {report.outcome for report in reports}


async def test_cancelled_after_reaches_every_step() -> None:
    seen: set[int] = set()

    async def three_steps() -> str:
        for step in range(3):
            seen.add(step)
            await turns(1)
        return "done"

    cuts = [await cancelled_after(steps, three_steps()) for steps in range(6)]
    assert [cut.finished for cut in cuts] == [False, False, False, False, True, True]
    assert cuts[-1].value == "done"
    assert growing_steps(100)[:18] == [*range(16), 16, 24]


async def test_expect_says_what_is_wrong() -> None:
    expect = Expect()
    with pytest.raises(Violation, match="because"):
        expect.equal([1], [2], "because")
    with pytest.raises(Violation, match="KeyError"):
        await expect.raises(KeyError, turns(1), "it should")
    with pytest.raises(Violation):
        expect.is_a(1, str, "text")
    with pytest.raises(Violation):
        expect.found(None, "something")
    expect.same([2, 1], [1, 2], "any order")
