"""What is said when the suite has run: what failed, what was not proved and why, the verdict, and where to start."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence

from rich.console import Console

from orcastra_conformance.cli.failures import print_failures, print_start
from orcastra_conformance.cli.progress import BAD, STYLES, reason
from orcastra_conformance.engine.outcome import CaseReport, Outcome
from orcastra_conformance.engine.tiers import Tier
from orcastra_conformance.reports.report import Report
from orcastra_conformance.reports.verdict import Verdict
from orcastra_core.cli.terminal import table

_REASONS = 3
"""An outcome with more different reasons than that is told by its count."""

_VERDICT_STYLES = {
    Verdict.SUCCESS: "green",
    Verdict.PARTIAL: "yellow",
    Verdict.FAILURE: "bold red",
    Verdict.NOTHING: "yellow",
}


def print_summary(out: Console, report: Report, *, quiet: bool = False, verbose: bool = False) -> None:
    """Say what a run showed. What matters most comes last, where the reader's eye is."""
    bad = [each for each in report.cases if each.outcome in BAD]
    print_failures(out, bad, verbose=verbose)
    if not quiet:
        _print_unpassed(out, report.cases, verbose=verbose)
    _print_profiles(out, report)
    for why in report.unfit:
        out.print(f"harness  {why}", style="bold red")
    if report.left_behind:
        out.print(f"harness  {report.left_behind}", style="bold red")
    core = [each for each in bad if each.case.tier is Tier.CORE]
    if core:
        print_start(out, core[0], alone=len(bad) == 1)
    out.print()
    if report.cases:
        out.print(f"{_cases(len(report.cases))} in {report.seconds or 0:.1f} s, seed {report.seed}")
    out.print(sentence(report), style=_VERDICT_STYLES.get(report.verdict))


def sentence(report: Report) -> str:
    """Return the verdict in a sentence."""
    name = f"{report.harness} ({report.mode})"
    counts = report.counts
    if report.unfit:
        return f"Nothing proved: the harness {name} is not fit, so no case was run."
    if report.verdict is Verdict.FAILURE:
        failed = [f"{counts[each]} {each.value}" for each in Outcome if each in BAD and counts.get(each)]
        return f"{name} is not conformant: {', '.join(failed) or 'the harness left something behind'}."
    if report.verdict is Verdict.NOTHING:
        return f"Nothing proved: no case that was chosen has anything to prove on {name}."
    gaps = [f"{counts[each]} {each.value}" for each in (Outcome.UNPROVEN, Outcome.DEVIATION) if counts.get(each)]
    left_out = sum(report.left_out.values())
    if left_out:
        told = f"nothing that was chosen failed, {', '.join(gaps)}" if gaps else "what was chosen holds"
        return f"{name}: {told}; {_cases(left_out)} left out, so this is no verdict."
    if report.verdict is Verdict.PARTIAL:
        return f"{name} is partly proved: nothing failed, {', '.join(gaps)}."
    proved = ", ".join(tier.tier.value for tier in report.tiers if tier.verdict is Verdict.SUCCESS)
    return f"{name} is conformant with contract {report.versions.contract}: {proved}."


def _print_unpassed(out: Console, reports: Sequence[CaseReport], *, verbose: bool) -> None:
    by_reason: dict[Outcome, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for report in reports:
        if report.outcome not in BAD and report.outcome is not Outcome.PASSED:
            by_reason[report.outcome][reason(report)].append(report.case.id)
    if not by_reason:
        return
    listed = table("not passed", "cases", "because", numeric=frozenset({"cases"}))
    for outcome in Outcome:
        reasons = by_reason.get(outcome, {})
        told = outcome.value
        if len(reasons) > _REASONS and not verbose and outcome not in (Outcome.UNPROVEN, Outcome.DEVIATION):
            number = sum(map(len, reasons.values()))
            listed.add_row(told, str(number), f"{len(reasons)} different reasons (-v)")
            continue
        for why, ids in reasons.items():
            listed.add_row(
                told,
                str(len(ids)),
                f"{why}: {', '.join(ids)}" if verbose or len(ids) <= 2 else why,
                style=STYLES.get(outcome),
            )
            told = ""
    out.print()
    out.print(listed)


def _print_profiles(out: Console, report: Report) -> None:
    tiers = [tier for tier in report.tiers if tier.cases]
    if not tiers:
        return
    total: Counter[Outcome] = Counter()
    for tier in tiers:
        total.update(tier.counts)
    outcomes = [outcome for outcome in Outcome if total[outcome]]
    left_out = any(tier.left_out for tier in tiers)
    numbers = [*(outcome.value for outcome in outcomes), *(["left out"] if left_out else [])]
    listed = table("profile", "verdict", *numbers, numeric=frozenset(numbers))
    for tier in tiers:
        listed.add_row(
            tier.tier.value,
            tier.verdict.value,
            *(str(tier.counts.get(outcome, 0) or "") for outcome in outcomes),
            *([str(tier.left_out or "")] if left_out else []),
            style=_VERDICT_STYLES.get(tier.verdict),
        )
    out.print()
    if report.facts is not None:
        out.print(f"{report.facts.product} at {report.facts.url}", soft_wrap=True)
    out.print(listed)


def _cases(number: int) -> str:
    return f"{number} case{'' if number == 1 else 's'}"
