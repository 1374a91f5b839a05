"""A report without what differs from run to run, to be committed."""

from __future__ import annotations

import re

import attrs

from orcastra_conformance.engine.outcome import CaseReport
from orcastra_conformance.reports.report import Report

_PORT = re.compile(r"(?<=[\w\]]):\d+(?=[,/?]|$)")
"""Of a host in a URL: a private server listens on another one each time."""


def stable(report: Report) -> Report:
    """Return a report that is the same for every run with the same outcomes on the same machine, whatever the seed.

    Without times, seeds, histories, clock offset and the port of a server; of messages the headline, where no id
    and no traceback stands.
    """
    facts = attrs.evolve(report.facts, url=_PORT.sub("", report.facts.url)) if report.facts is not None else None
    profile = attrs.evolve(report.profile, clock_offset=0.0) if report.profile is not None else None
    cases = tuple(_stable(case) for case in report.sorted_cases())
    return attrs.evolve(report, facts=facts, profile=profile, cases=cases, seed=None, seconds=None, started_at=None)


def _stable(report: CaseReport) -> CaseReport:
    again = report.reproduce.removesuffix(f" --seed {report.seed}")
    return attrs.evolve(report, seconds=0.0, message=report.headline, seed=0, history=(), reproduce=again)
