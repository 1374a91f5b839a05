"""The cases that failed, for the one who has to mend it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from rich.console import Console

from orcastra_conformance.cli.explain import where
from orcastra_conformance.cli.progress import STYLES, reason
from orcastra_conformance.engine.outcome import CaseReport
from orcastra_core.cli.terminal import facts

_WHOLE = 10
"""Up to so many failed cases are shown whole; of more, one for each reason."""
_ENTRY = 400
"""Characters of an entry of the history."""
_SHOWN = 5
"""So many of those that failed alike are named."""
_HISTORY = 15


def print_failures(out: Console, bad: Sequence[CaseReport], *, verbose: bool) -> None:
    """Show them whole; where they are many, one for each reason."""
    if verbose or len(bad) <= _WHOLE:
        for each in bad:
            out.print()
            print_case(out, each)
    else:
        _print_alike(out, bad)


def print_case(out: Console, report: CaseReport) -> None:
    """Show a case that is no pass: what was owed and seen, what went before, and what runs it again."""
    earlier = len(report.history) - _HISTORY
    history = [
        *([f"({earlier} earlier)"] if earlier > 0 else []),
        *(_shortened(entry) for entry in report.history[-_HISTORY:]),
    ]
    out.print(f"{report.case.id}: {report.outcome.value}", style=STYLES.get(report.outcome))
    out.print(
        facts(
            {
                "owed": report.case.why,
                "seen": report.message.strip(),
                "hint": report.case.hint or None,
                "before": "\n".join(history) or None,
                "seed": str(report.seed),
                "again": report.reproduce or None,
            }
        )
    )


def print_start(out: Console, report: CaseReport, *, alone: bool) -> None:
    """Say which to mend first, and how; ``alone``: it stands whole above already."""
    out.print(f"\nStart here: {report.case.id}", style="bold")
    told = {
        "owed": report.case.why,
        "seen": reason(report),
        "hint": report.case.hint or None,
        "run it alone": report.reproduce or None,
    }
    out.print(
        facts(
            {
                **({} if alone else told),
                "explained": f"orcastra conformance explain {report.case.id}",
                "its code": where(report.case),
            }
        )
    )


def _print_alike(out: Console, bad: Sequence[CaseReport]) -> None:
    by_reason: dict[str, list[CaseReport]] = defaultdict(list)
    for report in bad:
        by_reason[reason(report)].append(report)
    for first, *others in list(by_reason.values())[:_WHOLE]:
        out.print()
        print_case(out, first)
        if others:
            ids = ", ".join(each.case.id for each in others[:_SHOWN])
            more = f" and {len(others) - _SHOWN} more" if len(others) > _SHOWN else ""
            out.print(f"alike: {ids}{more}")
    rest = [report for reports in list(by_reason.values())[_WHOLE:] for report in reports]
    if rest:
        out.print()
        for report in rest:
            out.print(f"{report.case.id}: {reason(report)}", style=STYLES.get(report.outcome))
    out.print("\n-v shows every failed case whole.")


def _shortened(text: str) -> str:
    return text if len(text) <= _ENTRY else f"{text[:_ENTRY]}… ({len(text) - _ENTRY} characters more)"
