"""Runs what the command line asks for, and tells it."""

from __future__ import annotations

import logging
import signal
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

import attrs
from rich.console import Console

from orcastra_conformance.cli.failures import print_case
from orcastra_conformance.cli.progress import BAD, Progress, counted, watching
from orcastra_conformance.cli.summary import print_summary
from orcastra_conformance.crew import Crew, Posting
from orcastra_conformance.engine.case import Case
from orcastra_conformance.harnesses import make_harness
from orcastra_conformance.reports.deviations import Deviations
from orcastra_conformance.reports.files import archive, write
from orcastra_conformance.reports.report import Report
from orcastra_conformance.suite import run_suite
from orcastra_core.cli.terminal import console
from orcastra_core.model.broker_url import BrokerUrl

_CTRL_C = 130
_SIGTERM = 143


@attrs.frozen(kw_only=True)
class Order:
    """What to run, and how to tell it.

    Attributes:
        name: The harness: an entry point, or ``module:Class``.
        mode: One of its modes; None: its default.
        url: The server to prove; None: one that it starts.
        cases: Which.
        chosen_by: The arguments that chose them.
        seeds: What chance is drawn from; a run for each.
        deviations: The known gaps.
        jobs: How many processes run them.
        fail_fast: Whether to stop at the first failure.
        directory: Where to write the report; None: nowhere.
        archive: Where to keep it for a commit; None: nowhere.
        quiet: Whether to tell only what failed, and the verdict.
        verbose: Whether to tell every reason.
    """

    name: str
    mode: str | None
    url: str | None
    cases: Sequence[Case]
    chosen_by: Sequence[str]
    seeds: range
    deviations: Deviations | None
    jobs: int
    fail_fast: bool
    directory: Path | None
    archive: Path | None
    quiet: bool
    verbose: bool

    @property
    def command(self) -> tuple[str, ...]:
        """What runs the harness again, to be typed: secrets are left out."""
        mode = ("--mode", self.mode) if self.mode is not None else ()
        url = ("--url", str(BrokerUrl.parse(self.url))) if self.url is not None else ()
        return ("orcastra", "conformance", "run", self.name, *mode, *url)


def carry_out(order: Order) -> int:
    """Run it, seed after seed until one is not conformant, and tell that one; return its exit code.

    Raises:
        InvalidOption, PluginLoadFailed: As ``make_harness`` says.
    """
    out = console()
    report: Report | None = None
    with _undisturbed() as terminated:
        for seed in order.seeds:
            with watching(out, order.cases, quiet=order.quiet) as progress:
                report = _run(order, seed, progress)
            if report is None:
                _tell_interrupted(out, progress, len(order.cases))
                return _SIGTERM if terminated else _CTRL_C
            if report.exit_code:
                break
    assert report is not None
    return _told(out, report, order)


def _run(order: Order, seed: int, progress: Progress) -> Report | None:
    """Return the report; None if Ctrl-C ended it."""
    harness = make_harness(order.name, mode=order.mode, url=order.url)
    chosen = f"{len(order.cases)} cases" if len(order.cases) > 1 else order.cases[0].id
    progress.say(f"{order.name} ({harness.mode}): {chosen}, seed {seed}")
    try:
        return run_suite(
            harness,
            cases=order.cases,
            seed=seed,
            deviations=order.deviations,
            observe=progress.end,
            starting=progress.begin,
            shuffle=not order.fail_fast,
            fail_fast=order.fail_fast,
            crew=Crew(Posting(order.name, order.mode, order.url), order.jobs) if order.jobs > 1 else None,
            command=order.command,
            chosen_by=order.chosen_by,
        )
    except KeyboardInterrupt:
        return None


def _told(out: Console, report: Report, order: Order) -> int:
    print_summary(out, report, quiet=order.quiet, verbose=order.verbose)
    written: list[Path] = []
    if order.directory is not None:
        written += write(report, order.directory)
    if order.archive is not None:
        written += archive(report, order.archive)
    for path in written:
        out.print(f"written  {path}", soft_wrap=True)
    return report.exit_code


def _tell_interrupted(out: Console, progress: Progress, number: int) -> None:
    for report in (each for each in progress.reports if each.outcome in BAD):
        out.print()
        print_case(out, report)
    over = len(progress.reports)
    told = f": {counted(Counter(report.outcome for report in progress.reports))}" if over else ""
    out.print(f"\nInterrupted: {over} of {number} cases were over{told}. The harness was stopped.", style="yellow")


@contextmanager
def _undisturbed() -> Iterator[list[int]]:
    """Keep what brokers log out of the lines, and make SIGTERM a Ctrl-C, so that the harness is stopped.

    Yields:
        What gets the signal's number when it comes.
    """
    terminated: list[int] = []

    def end(number: int, frame: FrameType | None) -> None:
        terminated.append(number)
        signal.raise_signal(signal.SIGINT)

    silent = logging.NullHandler()  # else what nobody handles is written between the lines
    logging.getLogger().addHandler(silent)
    before = signal.signal(signal.SIGTERM, end)
    # a shell starts what runs in its background deaf to Ctrl-C, and SIGTERM would be lost with it
    heard = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield terminated
    finally:
        signal.signal(signal.SIGINT, heard)
        signal.signal(signal.SIGTERM, before)
        logging.getLogger().removeHandler(silent)
