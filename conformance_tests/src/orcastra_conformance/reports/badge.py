"""``badge.json``: what a shield beside a backend's name says."""

from __future__ import annotations

import json
from collections.abc import Mapping

from orcastra_conformance.engine.tiers import Tier
from orcastra_conformance.reports.report import Report
from orcastra_conformance.reports.verdict import Verdict

_SHOWN: Mapping[Verdict, tuple[str, str]] = {
    Verdict.SUCCESS: ("conformant", "brightgreen"),
    Verdict.PARTIAL: ("partial", "yellow"),
    Verdict.FAILURE: ("failing", "red"),
    Verdict.NOTHING: ("not proved", "lightgrey"),
}


def badge(report: Report) -> dict[str, object]:
    """Return the answer of a shields.io endpoint: «orcastra core 0.1 | conformant».

    What it says is the verdict of the whole run; a run that left out cases of the core proves no
    conformance, whatever it showed.
    """
    core = next(tier for tier in report.tiers if tier.tier is Tier.CORE)
    verdict = report.verdict
    if verdict is not Verdict.FAILURE and (core.left_out or core.verdict is Verdict.NOTHING):
        verdict = Verdict.NOTHING
    message, color = _SHOWN[verdict]
    return {
        "schemaVersion": 1,
        "label": f"orcastra core {report.versions.contract}",
        "message": message,
        "color": color,
    }


def to_badge(report: Report) -> str:
    """Return the file."""
    return json.dumps(badge(report), indent=2) + "\n"
