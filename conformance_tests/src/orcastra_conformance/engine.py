"""Runs cases: each with its own domain, event loop and budget. Knows no pytest."""

from __future__ import annotations

import asyncio
import enum
import itertools
import threading
import traceback
from collections.abc import Iterable
from time import perf_counter

import attrs

from orcastra_conformance.case import Case
from orcastra_conformance.catalogue import all_cases
from orcastra_conformance.expect import NotApplicable, Violation
from orcastra_conformance.harness import BrokerHarness, Unproven
from orcastra_conformance.refusals import check_refusal
from orcastra_conformance.steps import turns
from orcastra_conformance.trial import Trial

_numbers = itertools.count(1)
_GRACE = 1.0
"""Seconds within which threads and tasks must be gone after ``close``."""


class Outcome(enum.Enum):
    """What a case showed. Only PASSED is a pass."""

    PASSED = "passed"
    FAILED = "failed"
    UNSUPPORTED = "unsupported"
    """A capability it needs is not claimed, and its refusal was proved where it can be."""
    NOT_APPLICABLE = "not applicable"
    """It proves the refusal of what the broker claims, or what its limits say it does not do."""
    UNPROVEN = "unproven"
    """The harness lacks a power it needs."""
    HARNESS_ERROR = "harness error"


@attrs.frozen
class CaseReport:
    """The outcome of one case.

    Attributes:
        case: Which.
        outcome: What it showed.
        seconds: How long it took.
        message: Why it is no pass; empty for one.
        seed: What chance was drawn from.
        history: What was done before.
    """

    case: Case
    outcome: Outcome
    seconds: float
    message: str = ""
    seed: int = 0
    history: tuple[str, ...] = ()

    def __str__(self) -> str:
        lines = [f"{self.case.id}: {self.outcome.value} in {self.seconds:.2f} s (seed {self.seed})"]
        if self.message:
            lines += [f"owed: {self.case.why}", f"seen: {self.message}"]
            lines += ["history:", *(f"  {entry}" for entry in self.history[-15:])]
        return "\n".join(lines)


def run_case(case: Case, harness: BrokerHarness, *, seed: int = 0) -> CaseReport:
    """Run one case in an event loop of its own. The harness must have been started."""
    domain = f"{case.id}-{seed}-{next(_numbers)}"
    trial = Trial(harness, domain, seed)
    before = set(threading.enumerate())
    started = perf_counter()
    outcome, message = Outcome.PASSED, ""
    try:
        with asyncio.Runner(debug=True) as runner:
            outcome, message = runner.run(_run(case, trial))
            runner.run(harness.wipe(domain))
        stray = _stray_threads(before)
        if outcome is Outcome.PASSED and stray:
            outcome, message = Outcome.FAILED, f"threads outlive close(): {', '.join(sorted(stray))}"
    except Exception as error:
        # what a case or a broker raises is an outcome above: this is the harness's own
        outcome, message = Outcome.HARNESS_ERROR, "".join(traceback.format_exception(error))
    return CaseReport(case, outcome, perf_counter() - started, message, seed, tuple(trial.history))


def run_suite(harness: BrokerHarness, *, cases: Iterable[Case] | None = None, seed: int = 0) -> list[CaseReport]:
    """Start the harness, run cases (by default all), stop it, and return their reports."""
    asyncio.run(harness.start())
    try:
        return [run_case(case, harness, seed=seed) for case in (all_cases() if cases is None else cases)]
    finally:
        asyncio.run(harness.stop())


async def _run(case: Case, trial: Trial) -> tuple[Outcome, str]:
    try:
        async with asyncio.timeout(case.budget):
            outcome, message = await _judge(case, trial)
    except TimeoutError as error:
        outcome, message = Outcome.FAILED, f"not over within its budget of {case.budget:g} s\n{_where(error)}"
    try:
        async with asyncio.timeout(5.0):
            await trial.close()
    except TimeoutError:
        return Outcome.FAILED, f"{message}\nclose() did not return within 5 s".lstrip()
    await turns(3)
    left = asyncio.all_tasks() - {asyncio.current_task()}
    if outcome is Outcome.PASSED and left:
        return Outcome.FAILED, f"tasks outlive close(): {sorted(str(task.get_coro()) for task in left)}"
    return outcome, message


async def _judge(case: Case, trial: Trial) -> tuple[Outcome, str]:
    try:
        await trial.broker()
        missing = case.needs - trial.profile.capabilities
        if case.unclaimed is not None and case.unclaimed in trial.profile.capabilities:
            raise NotApplicable(f"{case.unclaimed.name} is claimed: there is nothing to refuse")
        if missing:
            for cap in sorted(missing, key=lambda cap: cap.name):
                await check_refusal(trial, cap)
            return Outcome.UNSUPPORTED, f"{', '.join(sorted(cap.name for cap in missing))} not claimed"
        await case.body(trial)
    except Exception as error:
        leaf = _leaf(error)  # what a task group of the case raised
        if isinstance(leaf, NotApplicable):
            return Outcome.NOT_APPLICABLE, str(leaf)
        if isinstance(leaf, Unproven):
            return Outcome.UNPROVEN, str(leaf)
        if isinstance(leaf, Violation):
            return Outcome.FAILED, str(leaf)
        return Outcome.FAILED, f"{type(leaf).__name__}: {leaf}\n{_where(leaf)}"
    return Outcome.PASSED, ""


def _leaf(error: BaseException) -> BaseException:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


def _where(error: BaseException) -> str:
    return "".join(traceback.format_exception(error)[-6:])


def _stray_threads(before: set[threading.Thread]) -> set[str]:
    ends = perf_counter() + _GRACE
    stray: set[str] = set()
    for thread in set(threading.enumerate()) - before:
        thread.join(max(0.0, ends - perf_counter()))
        if thread.is_alive():
            stray.add(thread.name)
    return stray
