"""``report.md``: the report for people, as a page of the documentation."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby

from orcastra_conformance.engine.outcome import CaseReport, Outcome
from orcastra_conformance.reports.json_report import limits
from orcastra_conformance.reports.report import Report
from orcastra_conformance.reports.verdict import Verdict
from orcastra_core.model.profile import Cap, Profile

_MARKS = re.compile(r"[*\[\]]|\\(?!\|)|(?<![^\W_])_|_(?![^\W_])")
"""What Markdown would take for markup; a bar was escaped before."""
_MEANS = {
    Verdict.SUCCESS: "conformant",
    Verdict.PARTIAL: "partial: what was proved holds, but not all was proved",
    Verdict.FAILURE: "not conformant",
    Verdict.NOTHING: "nothing proved",
}


def to_markdown(report: Report) -> str:
    """Return the page."""
    return "\n".join(_page(report)).rstrip() + "\n"


def _page(report: Report) -> Iterator[str]:
    yield f"# {_text(report.harness)} ({_text(report.mode)}): {_MEANS[report.verdict].partition(':')[0]}"
    yield ""
    if not report.whole and not report.unfit:
        yield (
            f"**A choice of {len(report.cases)} of {len(report.cases) + sum(report.left_out.values())} cases: "
            "this is no proof of conformance.**"
        )
        yield ""
    yield from _table(("", ""), _header(report))
    for sentence in (*report.unfit, *([report.left_behind] if report.left_behind else [])):
        yield f"- **harness error**: {_text(sentence)}"
    if report.unfit or report.left_behind:
        yield ""
    if report.unfit:
        yield "No case was run: a broken harness says nothing about the broker."
        yield ""
    yield from _verdicts(report)
    if report.profile is not None:
        yield from _capabilities(report.profile)
        yield from _limits(report.profile)
    yield from _not_passed(report)
    yield from _cases(report)
    yield from _reproduce(report)


def _header(report: Report) -> Iterator[Sequence[str]]:
    versions, profile = report.versions, report.profile
    yield "verdict", f"**{_MEANS[report.verdict]}** (exit code {report.exit_code})"
    if report.facts is not None:
        embedded = ", embedded" if report.facts.embedded else ""
        yield "store", f"{_text(report.facts.product)} at `{report.facts.url}`{embedded}"
    yield "mode", _text(report.mode)
    yield "backend", f"{_text(versions.backend or 'of no dist')} {versions.backend_version}".strip()
    yield "contract", versions.contract
    yield "suite, core", f"orcastra-conformance {versions.suite}, orcastra-core {versions.core}"
    yield "environment", _text(f"{versions.python}, {versions.platform}")
    if profile is not None:
        yield "durability", f"{profile.durability.name} (level {profile.durability.value} of 4)"
        if profile.clock_offset:
            yield "clock offset", f"{profile.clock_offset:+.3f} s"
    if report.seconds is not None:
        yield "time", f"{report.seconds:.1f} s"


def _verdicts(report: Report) -> Iterator[str]:
    yield "## Profiles"
    yield ""
    had = [outcome for outcome in Outcome if report.counts.get(outcome)]
    rows = [
        (tier.tier.value, f"**{tier.verdict.value}**", *(str(tier.counts.get(outcome, 0)) for outcome in had))
        for tier in report.tiers
    ]
    yield from _table(("profile", "verdict", *(outcome.value for outcome in had)), rows)


def _capabilities(profile: Profile) -> Iterator[str]:
    yield "## Capabilities"
    yield ""
    rows = [
        (
            f"`{cap.name}`",
            "yes" if cap in profile.capabilities else "no",
            _text(cap.value),
            _text(profile.notes.get(cap, "")),
        )
        for cap in Cap
    ]
    yield from _table(("capability", "claimed", "what it is", "note"), rows)


def _limits(profile: Profile) -> Iterator[str]:
    yield "## Limits"
    yield ""
    rows = [(f"`{name}`", _limit(value)) for name, value in limits(profile).items()]
    yield from _table(("limit", "bytes, seconds or items"), rows)


def _limit(value: object) -> str:
    if value is None:
        return "without bound"
    if isinstance(value, list):
        return " to ".join(_limit(item) for item in value)
    return f"{value:,.12g}".replace(",", " ") if isinstance(value, float) else f"{value:,}".replace(",", " ")


def _not_passed(report: Report) -> Iterator[str]:
    yield "## Not passed"
    yield ""
    rows = [
        (f"`{case.case.id}`", _outcome(case), _text(case.headline))
        for case in report.sorted_cases()
        if case.outcome is not Outcome.PASSED
    ]
    if rows:
        yield from _table(("case", "outcome", "reason"), rows)
    else:
        yield "Every case passed." if report.cases else "No case was run."
        yield ""


def _cases(report: Report) -> Iterator[str]:
    yield "## Cases"
    yield ""
    for group, cases in groupby(report.sorted_cases(), lambda case: case.case.group):
        yield f"### {group}"
        yield ""
        yield from _table(
            ("case", "outcome", "what is owed"),
            [(f"`{case.case.id}`", _outcome(case), _text(case.case.why)) for case in cases],
        )


def _reproduce(report: Report) -> Iterator[str]:
    versions = report.versions
    dists = [f"{name}=={version}" for name, version in _dists(report).items()]
    yield "## Reproduce"
    yield ""
    yield "```console"
    if dists:
        yield f"$ pip install {' '.join(dists)}"
    yield f"$ {report.reproduce}"
    yield "```"
    yield ""
    yield f"With {versions.python}; the exit code is {report.exit_code}."


def _dists(report: Report) -> dict[str, str]:
    versions = report.versions
    found = {"orcastra-conformance": versions.suite, "orcastra-core": versions.core}
    if versions.backend:
        found[versions.backend] = versions.backend_version
    return {name: version for name, version in found.items() if version}


def _outcome(report: CaseReport) -> str:
    shown = f" ({report.shown.value})" if report.outcome is Outcome.PROVISIONAL and report.shown is not None else ""
    bad = report.outcome in (Outcome.FAILED, Outcome.HARNESS_ERROR)
    return f"**{report.outcome.value}**" if bad else f"{report.outcome.value}{shown}"


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    yield f"| {' | '.join(head)} |"
    yield f"|{'---|' * len(head)}"
    for row in rows:
        yield f"| {' | '.join(row)} |"
    yield ""


def _text(text: str) -> str:
    """Return text that means itself, in one cell of a table; what stands in backticks is code."""
    parts = " ".join(text.split()).replace("|", "\\|").split("`")
    if len(parts) % 2 == 0:  # one of them is no pair
        return "\\`".join(_plain(part) for part in parts)
    return "`".join(part if number % 2 else _plain(part) for number, part in enumerate(parts))


def _plain(text: str) -> str:
    return _MARKS.sub(r"\\\g<0>", text.replace("&", "&amp;").replace("<", "&lt;"))
