"""Runs one case: in a domain, an event loop and a budget of its own."""

from __future__ import annotations

import asyncio
import itertools
import secrets
import threading
import traceback
from contextlib import suppress
from time import perf_counter

from orcastra_conformance.engine.case import Case
from orcastra_conformance.engine.expect import NotApplicable, Violation
from orcastra_conformance.engine.harness import BrokerHarness, Unproven
from orcastra_conformance.engine.outcome import CaseReport, Outcome
from orcastra_conformance.engine.refusals import check_refusal
from orcastra_conformance.engine.steps import turns
from orcastra_conformance.engine.trial import Trial

_numbers = itertools.count(1)
_run_id = secrets.token_hex(3)
"""Keeps the domains of this run apart from those of others on the same server."""
_GRACE = 1.0
"""Seconds within which threads and tasks must be gone after ``close``."""


def run_case(case: Case, harness: BrokerHarness, *, seed: int = 0) -> CaseReport:
    """Run one case in an event loop of its own. The harness must have been started."""
    domain = f"{case.id}-{seed}-{_run_id}-{next(_numbers)}"
    trial = Trial(harness, domain, seed)
    before = set(threading.enumerate())
    started = perf_counter()
    outcome, message, timed_out = Outcome.PASSED, "", False
    try:
        with asyncio.Runner(debug=True) as runner:
            runner.get_loop().slow_callback_duration = case.budget  # debug mode is on for other reasons
            try:
                outcome, message, timed_out = runner.run(_run(case, trial))
            finally:  # also when Ctrl-C ended it
                runner.run(harness.wipe(domain))
        stray = _stray_threads(before)
        if outcome is Outcome.PASSED and stray:
            outcome, message = Outcome.FAILED, f"threads outlive close(): {', '.join(sorted(stray))}"
    except Exception as error:
        # what a case or a broker raises is an outcome above: this is the harness's own
        outcome, message = Outcome.HARNESS_ERROR, "".join(traceback.format_exception(error))
    return CaseReport(case, outcome, perf_counter() - started, message, seed, tuple(trial.history), timed_out=timed_out)


async def _run(case: Case, trial: Trial) -> tuple[Outcome, str, bool]:
    budget = case.budget * trial.harness.patience
    timed_out = False
    try:
        async with asyncio.timeout(budget):
            outcome, message = await _judge(case, trial)
    except TimeoutError as error:
        timed_out = True
        outcome, message = (
            Outcome.FAILED,
            f"not over within its budget of {budget:g} s\n{_where(error.__cause__ or error)}",
        )
    except asyncio.CancelledError:  # Ctrl-C: what the case cut, stopped or started must not stay so
        with suppress(TimeoutError, Violation):
            async with asyncio.timeout(5.0):
                await trial.close()
        raise
    try:
        async with asyncio.timeout(5.0):
            await trial.close()
    except TimeoutError:
        return Outcome.FAILED, f"{message}\nclose() did not return within 5 s".lstrip(), timed_out
    except Violation as error:
        return Outcome.FAILED, f"{message}\n{error}".lstrip(), timed_out
    await turns(3)
    left = asyncio.all_tasks() - {asyncio.current_task()}
    if outcome is Outcome.PASSED and left:
        outcome = Outcome.FAILED
        message = f"tasks outlive close(): {sorted(str(task.get_coro()) for task in left)}"
    return outcome, message, timed_out


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
