"""What is seen while the suite runs: a bar on a terminal, a line a group everywhere."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TaskID, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bars

from orcastra_conformance.engine.case import Case
from orcastra_conformance.engine.outcome import CaseReport, Outcome

_TOLD_AT_ONCE = 10
"""So many failures are told when they happen; a broker that does nothing yet fails two hundred times."""

BAD = frozenset({Outcome.FAILED, Outcome.HARNESS_ERROR})
"""The outcomes that are told at once."""

STYLES = {
    Outcome.PASSED: "green",
    Outcome.FAILED: "bold red",
    Outcome.HARNESS_ERROR: "bold red",
    Outcome.UNPROVEN: "yellow",
    Outcome.DEVIATION: "yellow",
}


class Progress:
    """Says what happens, in lines: a failure at once, a group when its last case is over.

    Args:
        out: Where to.
        cases: What is going to run, in any order.
        quiet: Whether to say nothing.
    """

    def __init__(self, out: Console, cases: Sequence[Case], *, quiet: bool = False) -> None:
        self.reports: list[CaseReport] = []
        """What is over."""
        self._out = out
        self._quiet = quiet
        self._waiting = Counter(case.group for case in cases)
        self._width = max((len(group) for group in self._waiting), default=0)

    def say(self, text: str) -> None:
        """Tell what is about to happen."""
        if not self._quiet:
            self._out.print(text, style="bold")

    def begin(self, case: Case) -> None:
        """A case starts."""

    def end(self, report: CaseReport) -> None:
        """A case is over."""
        self.reports.append(report)
        group = report.case.group
        self._waiting[group] -= 1
        if self._quiet:
            return
        if report.outcome in BAD and (told := sum(each.outcome in BAD for each in self.reports)) <= _TOLD_AT_ONCE:
            line = f"{report.outcome.value.upper()}  {report.case.id}: {reason(report)}"
            self._out.print(line, style=STYLES[report.outcome], soft_wrap=not self._out.is_terminal)
            if told == _TOLD_AT_ONCE:
                self._out.print("further failures are told at the end")
        if not self._waiting[group]:
            self._tell_group(group)

    def _tell_group(self, group: str) -> None:
        of_group = [report for report in self.reports if report.case.group == group]
        seconds = sum(report.seconds for report in of_group)
        told = counted(Counter(report.outcome for report in of_group))
        style = next((STYLES[report.outcome] for report in of_group if report.outcome in BAD), None)
        self._out.print(f"{group:{self._width}}  {told}  ({seconds:.1f} s)", style=style)


class _LiveProgress(Progress):
    """The same, above a bar with what runs now."""

    def __init__(self, bars: Bars, cases: Sequence[Case]) -> None:
        super().__init__(bars.console, cases)
        self._bars = bars
        self._bar: TaskID = bars.add_task("", total=len(cases), now="starting the harness", bad="")

    def begin(self, case: Case) -> None:
        self._bars.update(self._bar, now=case.id)
        self._bars.refresh()

    def end(self, report: CaseReport) -> None:
        super().end(report)
        bad = sum(each.outcome in BAD for each in self.reports)
        self._bars.update(self._bar, advance=1, bad=f"{bad} failed" if bad else "")
        self._bars.refresh()


@contextmanager
def watching(out: Console, cases: Sequence[Case], *, quiet: bool = False) -> Iterator[Progress]:
    """Give what to tell of the cases as they run."""
    if quiet or not out.is_terminal:
        yield Progress(out, cases, quiet=quiet)
        return
    columns = (
        BarColumn(30),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.fields[bad]}", style="bold red", markup=False),
        TextColumn("{task.fields[now]}", markup=False),
    )
    # no refreshing thread: a case must find no thread but its own, and some of them fork
    with Bars(*columns, console=out, transient=True, auto_refresh=False) as bars:
        yield _LiveProgress(bars, cases)


def counted(counts: Counter[Outcome]) -> str:
    """Return the counts of outcomes in words, the best first."""
    return ", ".join(f"{counts[outcome]} {outcome.value}" for outcome in Outcome if counts[outcome])


def reason(report: CaseReport) -> str:
    """Return in a line why a case is no pass."""
    lines = report.message.strip().splitlines() or [""]
    told = lines[-1] if lines[0].startswith("Traceback") else lines[0]
    if report.shown is not None and report.outcome is Outcome.PROVISIONAL:
        return f"{report.shown.value}: {told}" if told else report.shown.value
    return told
