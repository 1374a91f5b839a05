"""Is what was reported once still so?"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from orcastra_conformance.engine.outcome import CaseReport
from orcastra_conformance.reports.json_report import limits
from orcastra_conformance.reports.report import Report
from orcastra_conformance.reports.stored import StoredReport


def differences(stored: StoredReport, now: Report | Iterable[CaseReport]) -> list[str]:
    """Say what a stored report and a run do not agree on, a sentence each; empty: nothing.

    Messages and times don't matter.

    Args:
        stored: What was reported.
        now: A run; or the reports of some cases, of which only the outcomes are compared.
    """
    return list(_of_run(stored, now) if isinstance(now, Report) else _of_cases(stored, now))


def _of_run(stored: StoredReport, now: Report) -> Iterator[str]:
    for what, was, is_now in (
        ("harness", stored.harness, now.harness),
        ("mode", stored.mode, now.mode),
        ("contract", stored.contract, now.versions.contract),
    ):
        if was != is_now:
            yield f"{what}: {stored.source} is about {was}, this run about {is_now}"
    yield from _of_broker(stored, now)
    if now.unfit:
        yield f"no case was run: {'; '.join(now.unfit)}"
        return
    yield from _of_cases(stored, now.sorted_cases())
    if now.whole:
        ran = {report.case.id for report in now.cases}
        for case_id in sorted(stored.outcomes.keys() - ran):
            yield f"{case_id}: {stored.source} has it, but there is no such case any more"


def _of_broker(stored: StoredReport, now: Report) -> Iterator[str]:
    if now.profile is None:
        if stored.capabilities is not None:
            yield "the broker could not be opened"
        return
    capabilities = {cap.name for cap in now.profile.capabilities}
    was = stored.capabilities or frozenset()
    for name in sorted(capabilities - was):
        yield f"{name}: claimed now, but not in {stored.source}"
    for name in sorted(was - capabilities):
        yield f"{name}: claimed in {stored.source}, but not now"
    if stored.durability != now.profile.durability.name:
        yield f"durability: {stored.durability} in {stored.source}, now {now.profile.durability.name}"
    told, before = limits(now.profile), stored.limits or {}
    for name in sorted(told.keys() | before.keys()):
        if told.get(name) != before.get(name):
            yield f"limits.{name}: {before.get(name)} in {stored.source}, now {told.get(name)}"


def _of_cases(stored: StoredReport, now: Iterable[CaseReport]) -> Iterator[str]:
    for report in now:
        case_id, was = report.case.id, stored.outcomes.get(report.case.id)
        if was is None:
            yield f"{case_id}: {report.outcome.value}, but {stored.source} does not have it: write the report anew"
        elif was is not report.outcome:
            reason = f" ({report.headline})" if report.headline else ""
            yield f"{case_id}: {was.value} in {stored.source}, now {report.outcome.value}{reason}"
