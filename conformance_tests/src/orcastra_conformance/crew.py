"""Several processes that share the cases of a run, each with a harness of its own."""

from __future__ import annotations

import asyncio
import logging
import multiprocessing
import os
import signal
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess

import attrs

from orcastra_conformance.catalogue import all_cases
from orcastra_conformance.engine.asking import told
from orcastra_conformance.engine.case import Case
from orcastra_conformance.engine.outcome import CaseReport, Outcome
from orcastra_conformance.engine.runner import run_case
from orcastra_conformance.harnesses import make_harness

_ENDING = 15.0
"""Seconds a member has to stop its harness."""


@attrs.frozen
class Posting:
    """How each member makes its harness: the arguments of ``make_harness``."""

    name: str
    mode: str | None = None
    url: str | None = None


@attrs.define
class _Member:
    process: BaseProcess
    pipe: Connection
    case: Case | None = None


class Crew:
    """Processes that run cases beside one another.

    Most of a run in real time is waiting, so that two members a core do well. A private server is each
    member's own; with a URL all share the one server, in domains of their own.

    Args:
        posting: What they prove.
        jobs: How many they are.
    """

    def __init__(self, posting: Posting, jobs: int) -> None:
        self.posting = posting
        self.jobs = jobs

    def run(
        self, cases: Sequence[Case], *, seed: int, starting: Callable[[Case], None]
    ) -> Generator[CaseReport, None, None]:
        """Run the cases, those with the largest budgets first; yield their reports as they come.

        A member that dies fails the case it ran, and the others go on. Close this to stop them all.
        """
        waiting = sorted(cases, key=lambda case: case.budget)
        with self._members(seed, min(self.jobs, len(cases))) as members:
            while waiting or any(member.case for member in members):
                for member in members:
                    if member.case is None and waiting:
                        member.case = waiting.pop()
                        starting(member.case)
                        with suppress(OSError):  # it is gone: told below
                            member.pipe.send(member.case.id)
                yield from self._heard(members, seed)
                if not members:
                    yield from (_no_report(case, seed, "no process is left to run it") for case in waiting)
                    return

    def _heard(self, members: list[_Member], seed: int) -> Iterator[CaseReport]:
        for pipe in wait([member.pipe for member in members if member.case is not None]):
            member = next(member for member in members if member.pipe is pipe)
            case, member.case = member.case, None
            assert case is not None
            try:
                answer = member.pipe.recv()
            except (EOFError, OSError):
                members.remove(member)
                member.process.join()
                yield _no_report(case, seed, f"its process ended with exit code {member.process.exitcode}")
            else:
                yield (
                    CaseReport(case, **answer, seed=seed)
                    if isinstance(answer, dict)
                    else _no_report(case, seed, answer)
                )

    @contextmanager
    def _members(self, seed: int, jobs: int) -> Iterator[list[_Member]]:
        members = [self._hire(seed) for _ in range(jobs)]
        everybody = list(members)
        try:
            yield members
        finally:
            for member in everybody:
                member.pipe.close()
                if member.case is not None and member.process.pid is not None:  # it is cut off, as by Ctrl-C
                    os.kill(member.process.pid, signal.SIGINT)
            for member in everybody:
                member.process.join(_ENDING)
                if member.process.is_alive():
                    member.process.kill()
                    member.process.join()

    def _hire(self, seed: int) -> _Member:
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe()
        process = context.Process(target=_work, args=(self.posting, seed, theirs), daemon=False)
        process.start()
        theirs.close()
        return _Member(process, ours)


def _no_report(case: Case, seed: int, why: str) -> CaseReport:
    return CaseReport(case, Outcome.HARNESS_ERROR, 0.0, why, seed)


def _work(posting: Posting, seed: int, pipe: Connection) -> None:
    os.setsid()  # Ctrl-C on the terminal is for who hired us, and that one tells us
    signal.signal(signal.SIGINT, signal.default_int_handler)
    logging.getLogger().addHandler(logging.NullHandler())
    by_id = {case.id: case for case in all_cases()}
    harness = make_harness(posting.name, mode=posting.mode, url=posting.url)
    with suppress(KeyboardInterrupt, EOFError, OSError):  # told to stop, or nobody is left to tell
        try:
            trouble = ""
            try:
                harness.facts = asyncio.run(harness.start())
            except Exception as error:
                trouble = f"start() raised {told(error)}"
            while True:
                case = by_id[pipe.recv()]
                if trouble:
                    pipe.send(trouble)
                    continue
                report = run_case(case, harness, seed=seed)
                pipe.send(
                    {name: getattr(report, name) for name in ("outcome", "seconds", "message", "history", "timed_out")}
                )
        finally:
            asyncio.run(harness.stop())
