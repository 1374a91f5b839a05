"""A whole run: on the reference broker, on one that lies, on harnesses that break."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import date

import pytest

from orcastra_conformance import Case, CaseReport, Outcome, Report, ServerFacts, Unproven, run_suite
from orcastra_conformance.catalogue import all_cases
from orcastra_conformance.engine.case import CaseBody
from orcastra_conformance.engine.tiers import Tier
from orcastra_conformance.engine.trial import Trial
from orcastra_conformance.reports.deviations import Deviation, Deviations
from orcastra_conformance.reports.verdict import Verdict
from orcastra_conformance.suite import NoSuchCase, select
from orcastra_core.backends.memory.conformance import Harness
from orcastra_core.backends.memory.session import MemorySession
from orcastra_core.model.delivery import Delivery, Want
from orcastra_core.model.profile import Cap


def made(name: str, body: CaseBody, *needs: Cap, tier: Tier = Tier.CORE, provisional: bool = False) -> Case:
    return Case(f"made.{name}", "made", tier, frozenset(needs), None, "it must hold", body, provisional=provisional)


async def holds(t: Trial) -> None:
    await t.stored(await t.broker(), t.envelope())


async def fails(t: Trial) -> None:
    t.expect.true(False, "it does not hold")


async def lacks(t: Trial) -> None:
    raise Unproven("no such power")


def chosen(*ids: str) -> list[Case]:
    return select(all_cases(), ids)


@pytest.fixture
def greedy(monkeypatch: pytest.MonkeyPatch) -> None:
    """The reference broker hands out one more than was asked for."""
    fetch = MemorySession.fetch

    async def more(self: MemorySession, want: Want, /, *, wait: float) -> Sequence[Delivery]:
        wanted = Want(want.limit + 1, [(queue, number + 1) for queue, number in want.queues])
        return await fetch(self, wanted, wait=wait)

    monkeypatch.setattr(MemorySession, "fetch", more)


def verdict_of(report: Report, tier: Tier) -> Verdict:
    return next(told.verdict for told in report.tiers if told.tier is tier)


def test_a_broker_that_keeps_its_contract_is_conformant() -> None:
    report = run_suite(Harness(), cases=chosen("pub", "ord.*", "res.roundtrip"), seed=5)
    assert (report.verdict, report.exit_code) == (Verdict.SUCCESS, 0)
    assert [verdict_of(report, tier) for tier in (Tier.CORE, Tier.ORDERED, Tier.RESULTS)] == [Verdict.SUCCESS] * 3
    assert verdict_of(report, Tier.SCHEDULER) is Verdict.NOTHING
    assert report.facts is not None
    assert report.facts.product == "memory"
    assert report.profile is not None
    assert Cap.ORDERED_QUEUE in report.profile.capabilities
    assert (report.versions.backend, report.versions.contract) == ("orcastra-core", "0.1")
    assert report.versions.suite
    assert report.unfit == ()


def test_a_choice_of_cases_is_not_the_whole() -> None:
    report = run_suite(Harness(), cases=chosen("pub.roundtrip"))
    assert not report.whole
    core = next(told for told in report.tiers if told.tier is Tier.CORE)
    assert (core.cases, core.left_out) == (1, len([case for case in all_cases() if case.tier is Tier.CORE]) - 1)


@pytest.mark.usefixtures("greedy")
def test_a_lying_broker_fails_and_the_report_says_how_to_see_it_again() -> None:
    report = run_suite(Harness(), cases=chosen("con.demand", "pub.empty-batch"), seed=11)
    assert (report.verdict, report.exit_code) == (Verdict.FAILURE, 1)
    passed, failed = report.cases
    assert (failed.case.id, failed.outcome, passed.outcome) == ("con.demand", Outcome.FAILED, Outcome.PASSED)
    assert failed.reproduce == "orcastra conformance run memory --case con.demand --seed 11"
    for part in (failed.case.why, failed.message, "seed 11", failed.reproduce, "history:", "publish"):
        assert part in str(failed)
    assert report.reproduce == "orcastra conformance run memory --seed 11"


def test_the_command_to_reproduce_is_what_was_typed() -> None:
    report = run_suite(
        Harness(),
        cases=[made("fails", fails)],
        command=["orcastra", "conformance", "run", "m", "--url", "x y"],
        chosen_by=["--case", "pub.*"],
    )
    assert report.reproduce == "orcastra conformance run m --url 'x y' --case 'pub.*' --seed 0"
    assert report.cases[0].reproduce == "orcastra conformance run m --url 'x y' --case made.fails --seed 0"


def test_a_mode_that_is_not_the_default_is_part_of_the_command() -> None:
    report = run_suite(Harness("lesser"), cases=[made("holds", holds)])
    assert (report.mode, report.command) == ("lesser", "orcastra conformance run memory --mode lesser")


def test_a_capability_that_is_not_claimed_takes_its_profile_with_it() -> None:
    report = run_suite(Harness(without="RESULTS"), cases=chosen("res", "pub.roundtrip"))
    assert verdict_of(report, Tier.RESULTS) is Verdict.NOT_CLAIMED
    assert {told.outcome for told in report.cases if told.case.group == "res"} <= {
        Outcome.UNSUPPORTED,
        Outcome.NOT_APPLICABLE,
    }
    assert report.exit_code == 0


def test_unproven_is_partial() -> None:
    report = run_suite(Harness(), cases=[made("holds", holds), made("lacks", lacks)])
    assert (report.verdict, report.exit_code, verdict_of(report, Tier.CORE)) == (Verdict.PARTIAL, 2, Verdict.PARTIAL)


def test_provisional_cases_do_not_count_but_keep_what_they_showed() -> None:
    cases = [made("holds", holds), made("fails", fails, provisional=True), made("new", holds, provisional=True)]
    report = run_suite(Harness(), cases=cases)
    assert [told.outcome for told in report.cases] == [Outcome.PASSED, Outcome.PROVISIONAL, Outcome.PROVISIONAL]
    assert [told.shown for told in report.cases] == [None, Outcome.FAILED, Outcome.PASSED]
    assert "it does not hold" in report.cases[1].message
    assert report.exit_code == 0


def test_declared_gaps_are_deviations_and_a_declared_case_that_passes_fails() -> None:
    gaps = Deviations((Deviation(("made.fails", "made.holds"), "the server reorders", date(2999, 1, 1)),))
    only_gap = run_suite(Harness(), cases=[made("fails", fails), made("fine", holds)], deviations=gaps)
    assert [told.outcome for told in only_gap.cases] == [Outcome.DEVIATION, Outcome.PASSED]
    assert only_gap.cases[0].shown is Outcome.FAILED
    assert "the server reorders" in only_gap.cases[0].message
    assert "it does not hold" in only_gap.cases[0].message
    assert only_gap.exit_code == 2
    passing = run_suite(Harness(), cases=[made("holds", holds), made("fine", holds)], deviations=gaps)
    assert (passing.cases[0].outcome, passing.exit_code) == (Outcome.FAILED, 1)
    assert "remove it" in passing.cases[0].message


def test_gaps_of_another_harness_or_mode_are_none_here() -> None:
    for concerned in ({"harness": "other"}, {"mode": "other"}, {"harness": "memory", "mode": "lesser"}):
        gap = Deviation(("made.fails",), "elsewhere", date(2999, 1, 1), **concerned)
        report = run_suite(Harness(), cases=[made("fails", fails)], deviations=Deviations((gap,)))
        assert report.cases[0].outcome is Outcome.FAILED, concerned


def test_no_case_and_no_pass_prove_nothing() -> None:
    for cases in ([], [made("lacks", lacks)], [made("new", holds, provisional=True)]):
        report = run_suite(Harness(), cases=cases)
        assert (report.verdict, report.exit_code) == (Verdict.NOTHING, 3)


def test_the_order_is_drawn_from_the_seed_and_the_report_keeps_that_of_the_cases() -> None:
    cases = [made(str(number), holds) for number in range(8)]
    orders: list[list[str]] = []
    for seed, shuffle in ((1, True), (1, True), (2, True), (1, False)):
        order: list[Case] = []
        report = run_suite(Harness(), cases=cases, seed=seed, shuffle=shuffle, starting=order.append)
        assert [told.case for told in report.cases] == cases
        orders.append([case.id for case in order])
    ids = [case.id for case in cases]
    assert orders[0] == orders[1] != orders[2]
    assert orders[3] == ids
    assert sorted(orders[0]) == ids != orders[0]


def test_each_case_is_told_as_it_comes() -> None:
    seen: list[str] = []
    report = run_suite(
        Harness(),
        cases=[made("holds", holds), made("fails", fails)],
        starting=lambda case: seen.append(f"{case.id}?"),
        observe=lambda told: seen.append(f"{told.case.id}: {told.outcome.value} {bool(told.reproduce)}"),
        shuffle=False,
    )
    assert seen == ["made.holds?", "made.holds: passed True", "made.fails?", "made.fails: failed True"]
    assert len(report.cases) == 2


def test_fail_fast_leaves_out_what_would_come_after() -> None:
    cases = [*chosen("pub.empty-batch"), made("fails", fails), *chosen("pub.roundtrip")]
    report = run_suite(Harness(), cases=cases, shuffle=False, fail_fast=True)
    assert [told.case.id for told in report.cases] == ["pub.empty-batch", "made.fails"]
    assert (report.exit_code, report.whole) == (1, False)


# -- harnesses that break


class Noted(Harness):
    """Notes whether it was stopped."""

    stopped = 0

    async def stop(self) -> None:
        self.stopped += 1
        await super().stop()


def test_a_harness_that_does_not_start_is_a_harness_error_and_no_case_runs() -> None:
    class Broken(Noted):
        async def start(self) -> ServerFacts:
            raise OSError("redis-server is not installed")

    harness = Broken()
    seen: list[CaseReport] = []
    report = run_suite(harness, cases=[made("holds", holds)], observe=seen.append)
    assert (report.verdict, report.exit_code, report.cases, seen) == (Verdict.NOTHING, 3, (), [])
    assert "start() raised OSError: redis-server is not installed" in report.unfit[0]
    assert harness.stopped == 1
    assert {told.verdict for told in report.tiers} == {Verdict.NOT_CLAIMED}


def test_an_unfit_harness_runs_no_case() -> None:
    class Unfit(Noted):
        lease = 0.001

    harness = Unfit()
    report = run_suite(harness, cases=[made("holds", holds)])
    assert (report.exit_code, report.cases, harness.stopped) == (3, (), 1)
    assert "min_lease" in report.unfit[0]


def test_a_harness_that_cannot_be_stopped_is_a_harness_error_too() -> None:
    class Clinging(Harness):
        async def stop(self) -> None:
            raise OSError("the port is still taken")

    report = run_suite(Clinging(), cases=[made("holds", holds)])
    assert (report.verdict, report.exit_code) == (Verdict.FAILURE, 1)
    assert "stop() raised OSError: the port is still taken" in report.left_behind
    assert report.cases[0].outcome is Outcome.PASSED


async def interrupted(t: Trial) -> None:
    raise KeyboardInterrupt


def interrupts(_: CaseReport) -> None:
    raise KeyboardInterrupt


@pytest.mark.parametrize("body, observe", [(interrupted, lambda report: None), (holds, interrupts)])
def test_ctrl_c_stops_the_harness_and_goes_on(body: CaseBody, observe: Callable[[CaseReport], None]) -> None:
    harness = Noted()
    with pytest.raises(KeyboardInterrupt):
        run_suite(harness, cases=[made("case", body)], observe=observe)
    assert harness.stopped == 1


def test_a_harness_that_breaks_in_a_case_fails_the_run() -> None:
    class Breaking(Harness):
        async def wipe(self, domain: str) -> None:
            await super().wipe(domain)
            if domain.startswith("made.breaks"):
                raise OSError("the harness broke")

    report = run_suite(Breaking(), cases=[made("breaks", holds), made("holds", holds)])
    assert [told.outcome for told in report.cases] == [Outcome.HARNESS_ERROR, Outcome.PASSED]
    assert report.cases[0].headline == "OSError: the harness broke"
    assert report.exit_code == 1


# -- choosing


def test_patterns_choose_by_id_group_and_wildcard_and_keep_the_order() -> None:
    cases = all_cases()
    assert [case.id for case in select(cases, ["pub.roundtrip"])] == ["pub.roundtrip"]
    assert {case.group for case in select(cases, ["pub", "con.*"])} == {"pub", "con"}
    both = select(cases, ["con.demand", "pub.roundtrip"])
    assert both == [case for case in cases if case in both]
    assert select(cases) == cases


def test_profiles_choose_too() -> None:
    assert {case.tier for case in select(all_cases(), tiers=[Tier.ORDERED])} == {Tier.ORDERED}
    assert {case.group for case in select(all_cases(), ["res.*", "ord.*"], ["results"])} == {"res"}


@pytest.mark.parametrize(
    "patterns, tiers, says",
    [
        (["pub.rondtrip"], [], ["'pub.rondtrip'", "pub.roundtrip", "con, "]),
        (["ack.*"], [], ["'ack.*'", "The groups are", "pub", "set"]),
        (["pub.*", "nothing-of-this"], [], ["nothing-of-this"]),
        (["pub.*"], [Tier.ORDERED], ["pub.*", "ordered"]),
    ],
)
def test_a_pattern_that_matches_nothing_says_what_there_is(
    patterns: list[str], tiers: list[Tier], says: list[str]
) -> None:
    with pytest.raises(NoSuchCase) as caught:
        select(all_cases(), patterns, tiers)
    for part in says:
        assert part in str(caught.value)


def test_the_default_is_every_case(monkeypatch: pytest.MonkeyPatch) -> None:
    two = chosen("pub.empty-batch", "pub.roundtrip")
    monkeypatch.setattr("orcastra_conformance.suite.all_cases", lambda: two)
    report = run_suite(Harness())
    assert [told.case for told in report.cases] == two
    assert report.whole
