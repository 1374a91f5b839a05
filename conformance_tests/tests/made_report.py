"""A report with every outcome in it, by hand: what the writers are tried on."""

from __future__ import annotations

from typing import Any

import attrs

from orcastra_conformance import Case, CaseReport, Outcome, Report, ServerFacts
from orcastra_conformance.engine.tiers import TIER_OF_GROUP
from orcastra_conformance.engine.trial import Trial
from orcastra_conformance.reports.versions import Versions
from orcastra_core.model.profile import Cap, Durability, Limits, Profile

VERSIONS = Versions("0.1.0", "0.1", "0.1.0", "orcastra-acme", "2.3", "CPython 3.11.9", "Linux x86_64")
PROFILE = Profile(
    server="Acme 7",
    capabilities=frozenset({Cap.DELAY, Cap.DEAD_LETTERS, Cap.RESULTS}),
    limits=Limits(priorities=(-10, 10)),
    durability=Durability.SERVER_CRASH,
    clock_offset=0.25,
    notes={Cap.PRIORITY: "the server | has none"},
)


async def _body(t: Trial) -> None:
    return


def case(case_id: str, why: str = "it must hold", *, provisional: bool = False) -> Case:
    group = case_id.partition(".")[0]
    return Case(case_id, group, TIER_OF_GROUP[group], frozenset(), None, why, _body, provisional=provisional)


def told(
    case_id: str, outcome: Outcome = Outcome.PASSED, message: str = "", shown: Outcome | None = None
) -> CaseReport:
    return CaseReport(
        case(case_id, provisional=outcome is Outcome.PROVISIONAL),
        outcome,
        0.125,
        message,
        seed=7,
        history=() if outcome is Outcome.PASSED else ("publish → Stored", "fetch → []"),
        reproduce=f"orcastra conformance run acme --case {case_id} --seed 7",
        shown=shown,
    )


ALL_OUTCOMES = (
    told("set.late", Outcome.FAILED, "STALE was owed <here> & now\n  want: 1\n  got:  \x00"),
    told("pub.roundtrip"),
    told("con.demand"),
    told(
        "pub.shared",
        Outcome.HARNESS_ERROR,
        "Traceback (most recent call last):\n  File x\nOSError: the harness broke\n",
    ),
    told("ord.fifo", Outcome.UNSUPPORTED, "ORDERED_QUEUE not claimed"),
    told("hon.refuses-delay", Outcome.NOT_APPLICABLE, "DELAY is claimed: there is nothing to refuse"),
    told(
        "fault.server-restart", Outcome.UNPROVEN, "the harness cannot restart the server (BrokerHarness.restart_server)"
    ),
    told("delay.past-is-now", Outcome.DEVIATION, "known gap: the server rounds up\nlate", Outcome.FAILED),
    told("res.new", Outcome.PROVISIONAL, "not yet", Outcome.FAILED),
)


def report(*cases: CaseReport, **fields: Any) -> Report:
    plain = Report(
        harness="acme",
        mode="cluster",
        facts=ServerFacts("Acme 7.1", "acme://127.0.0.1:41234/0"),
        profile=PROFILE,
        versions=VERSIONS,
        cases=cases or ALL_OUTCOMES,
        command="orcastra conformance run acme --mode cluster",
        seed=7,
        seconds=12.5,
        started_at=1_760_000_000.0,
    )
    return attrs.evolve(plain, **fields)
