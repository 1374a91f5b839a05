"""What was reported once, compared with what is so now."""

from __future__ import annotations

import json
from pathlib import Path

import attrs
import pytest
from made_report import PROFILE, VERSIONS, report, told

from orcastra_conformance import Outcome, run_suite
from orcastra_conformance.catalogue import all_cases
from orcastra_conformance.engine.tiers import Tier
from orcastra_conformance.reports.compare import differences
from orcastra_conformance.reports.files import archive
from orcastra_conformance.reports.json_report import to_json
from orcastra_conformance.reports.stored import ReportError, StoredReport, parse_report, read_report
from orcastra_conformance.reports.verdict import Verdict
from orcastra_conformance.suite import select
from orcastra_core.backends.memory.conformance import Harness
from orcastra_core.model.profile import Cap, Durability, Limits

FINE = report(told("pub.roundtrip"), told("con.demand"))


def stored() -> StoredReport:
    return parse_report(to_json(FINE), source="acme.json")


def test_a_report_is_read_back() -> None:
    back = parse_report(to_json(report()))
    assert (back.harness, back.mode, back.contract, back.verdict) == ("acme", "cluster", "0.1", Verdict.FAILURE)
    assert back.outcomes["ord.fifo"] is Outcome.UNSUPPORTED
    assert back.profiles["work-queue"] is Verdict.PARTIAL
    assert back.capabilities == frozenset({"DELAY", "DEAD_LETTERS", "RESULTS"})
    assert (back.durability, back.limits and back.limits["settle_window"]) == ("SERVER_CRASH", 8)
    closed = parse_report(to_json(report(told("pub.roundtrip", Outcome.FAILED), profile=None)))
    assert (closed.capabilities, closed.limits, closed.durability) == (None, None, None)


def test_a_real_run_agrees_with_its_own_archived_report(tmp_path: Path) -> None:
    chosen = select(all_cases(), ["pub.*", "hon.*"])
    path = archive(run_suite(Harness(), cases=chosen, seed=1), tmp_path)[0]
    again = run_suite(Harness(), cases=chosen, seed=2)
    assert differences(read_report(path), again) == []
    assert differences(read_report(path), again.cases) == []
    lesser = run_suite(Harness("lesser"), cases=chosen, seed=2)
    said = differences(read_report(path), lesser)
    assert any("DELAY: claimed in" in each for each in said)
    assert any(each.startswith("hon.refuses-delay: not applicable in") for each in said)


def test_what_differs_is_said() -> None:
    now = report(
        told("pub.roundtrip", Outcome.FAILED, "a byte is gone\nmore"),
        told("pub.shared"),
        mode="other",
        versions=attrs.evolve(VERSIONS, contract="0.2"),
        profile=attrs.evolve(
            PROFILE,
            capabilities=PROFILE.capabilities - {Cap.DELAY} | {Cap.DEDUP},
            durability=Durability.PROCESS,
            limits=Limits(priorities=(-10, 10), max_batch=10),
        ),
    )
    assert differences(stored(), now) == [
        "mode: acme.json is about cluster, this run about other",
        "contract: acme.json is about 0.1, this run about 0.2",
        "DEDUP: claimed now, but not in acme.json",
        "DELAY: claimed in acme.json, but not now",
        "durability: SERVER_CRASH in acme.json, now PROCESS",
        "limits.max_batch: 1000 in acme.json, now 10",
        "pub.roundtrip: passed in acme.json, now failed (a byte is gone)",
        "pub.shared: passed, but acme.json does not have it: write the report anew",
        "con.demand: acme.json has it, but there is no such case any more",
    ]


def test_times_seeds_and_versions_of_the_dists_do_not_matter() -> None:
    later = attrs.evolve(VERSIONS, suite="9.9", python="CPython 3.14.0")
    assert differences(stored(), attrs.evolve(FINE, seed=99, seconds=1.0, versions=later)) == []


def test_a_choice_of_cases_misses_none() -> None:
    assert differences(stored(), [told("pub.roundtrip")]) == []
    assert differences(stored(), report(told("pub.roundtrip"), left_out={Tier.CORE: 1})) == []


def test_an_unfit_harness_and_a_closed_broker_are_differences() -> None:
    (said,) = differences(stored(), report(cases=(), unfit=("start() raised",)))
    assert said == "no case was run: start() raised"
    assert "the broker could not be opened" in differences(stored(), attrs.evolve(FINE, profile=None))


@pytest.mark.parametrize(
    "text, says",
    [
        ("{", "is no JSON"),
        ("[]", "is no report"),
        ("{}", "is no report"),
        ('{"schema": 2}', "has schema 2, and this suite reads 1"),
        ('{"schema": 1}', "KeyError"),
        (json.dumps({**json.loads(to_json(FINE)), "verdict": "fine"}), "'fine'"),
    ],
)
def test_what_is_no_report_is_refused(text: str, says: str) -> None:
    with pytest.raises(ReportError, match=says) as caught:
        parse_report(text, source="acme.json")
    assert str(caught.value).startswith("acme.json: ")
