"""A whole run: every chosen case on one harness."""

from __future__ import annotations

import asyncio
import random
import shlex
import traceback
from collections import Counter
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from time import perf_counter

import attrs

from orcastra_conformance.catalogue import all_cases
from orcastra_conformance.crew import Crew
from orcastra_conformance.engine.asking import told
from orcastra_conformance.engine.case import Case
from orcastra_conformance.engine.harness import BrokerHarness
from orcastra_conformance.engine.outcome import CaseReport, Outcome
from orcastra_conformance.engine.preflight import Preflight, check
from orcastra_conformance.engine.runner import run_case
from orcastra_conformance.reports.deviations import Deviations
from orcastra_conformance.reports.report import Report
from orcastra_conformance.reports.versions import Versions
from orcastra_conformance.selection import NoSuchCase, select
from orcastra_core.liveness.system_clock import SystemClock


@contextmanager
def started(harness: BrokerHarness) -> Iterator[BrokerHarness]:
    """Start a harness, note what it tells of its server, and stop it at the end."""
    harness.facts = asyncio.run(harness.start())
    try:
        yield harness
    finally:
        asyncio.run(harness.stop())


def run_suite(
    harness: BrokerHarness,
    *,
    cases: Iterable[Case] | None = None,
    seed: int = 0,
    deviations: Deviations | None = None,
    observe: Callable[[CaseReport], None] = lambda report: None,
    starting: Callable[[Case], None] = lambda case: None,
    shuffle: bool = True,
    fail_fast: bool = False,
    crew: Crew | None = None,
    command: Sequence[str] = (),
    chosen_by: Sequence[str] = (),
) -> Report:
    """Start the harness, see whether it is fit, run cases on it, stop it.

    Nothing that a harness or a broker raises leaves this: it is in the report. A
    KeyboardInterrupt does, once the harness was stopped.

    Args:
        harness: Not started.
        cases: Which; by default all. The report keeps their order.
        seed: What chance, and the order in which they run, is drawn from.
        deviations: The known gaps.
        observe: Called with the report of each case as it comes.
        starting: Called with each case before it runs.
        shuffle: Whether they run in an order drawn from the seed, so that none can lean on the one before it.
        fail_fast: Whether to stop at the first case that fails; those that did not run are left out.
        crew: Processes that run them beside one another, instead of this one.
        command: What runs this harness again, as the arguments of a program, without what chooses the cases and ``--seed``;
            by default ``orcastra conformance run NAME``, with the harness's mode.
        chosen_by: The arguments that chose the cases, as ``--case 'pub.*'``; by default none.
    """
    chosen = list(all_cases() if cases is None else cases)
    order = list(chosen)
    if shuffle:
        random.Random(seed).shuffle(order)
    again = list(command or _command(harness))
    started_at, began = SystemClock().now(), perf_counter()
    fitness, left_behind = Preflight(), ""
    reports: dict[str, CaseReport] = {}
    try:
        fitness = readied(harness)
        runs = _alone(order, harness, seed, starting) if crew is None else crew.run(order, seed=seed, starting=starting)
        with closing(runs):
            for seen in runs if fitness.fit else ():
                report = settled(seen, harness, deviations)
                case_id = report.case.id
                reports[case_id] = attrs.evolve(
                    report, reproduce=shlex.join([*again, "--case", case_id, "--seed", str(seed)])
                )
                observe(reports[case_id])
                if fail_fast and report.outcome in (Outcome.FAILED, Outcome.HARNESS_ERROR):
                    break
    finally:
        left_behind = _stopped(harness)
    return Report(
        harness=harness.name,
        mode=harness.mode,
        facts=fitness.facts,
        profile=fitness.profile,
        versions=Versions.of(fitness.broker),
        cases=tuple(reports[case.id] for case in chosen if case.id in reports),
        left_out=Counter(case.tier for case in all_cases() if case.id not in reports),
        command=shlex.join([*again, *chosen_by]),
        seed=seed,
        seconds=perf_counter() - began,
        started_at=started_at,
        unfit=fitness.failures,
        left_behind=left_behind,
    )


def _alone(
    cases: Sequence[Case], harness: BrokerHarness, seed: int, starting: Callable[[Case], None]
) -> Generator[CaseReport, None, None]:
    for case in cases:
        starting(case)
        yield run_case(case, harness, seed=seed)


def settled(report: CaseReport, harness: BrokerHarness, deviations: Deviations | None = None) -> CaseReport:
    """Return the report of a case as it counts: a declared gap is a deviation, what is provisional says so."""
    gap = deviations.of(report.case.id, harness=harness.name, mode=harness.mode) if deviations is not None else None
    if gap is not None:
        report = gap.judge(report)
    if report.case.provisional:
        return attrs.evolve(report, outcome=Outcome.PROVISIONAL, shown=report.outcome)
    return report


def _command(harness: BrokerHarness) -> list[str]:
    mode = ["--mode", harness.mode] if harness.mode in harness.modes[1:] else []
    return ["orcastra", "conformance", "run", harness.name, *mode]


def readied(harness: BrokerHarness) -> Preflight:
    """Start a harness and look at it: what it raises, too, is a failure there. It has to be stopped in any case."""
    try:
        harness.facts = asyncio.run(harness.start())
    except Exception as error:
        return Preflight(
            failures=(f"start() raised {_said(error)}: it has to make a server ready, or say what is missing",)
        )
    return check(harness)


def _stopped(harness: BrokerHarness) -> str:
    try:
        asyncio.run(harness.stop())
    except Exception as error:
        return f"stop() raised {_said(error)}"
    return ""


def _said(error: Exception) -> str:
    where = traceback.extract_tb(error.__traceback__)[-1]
    return f"{told(error)} ({Path(where.filename).name}, line {where.lineno})"


__all__ = ["NoSuchCase", "readied", "run_suite", "select", "settled", "started"]
