"""``report.json``: the report for programs, by ``schema/report-1.json``."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib import resources
from typing import Any

import attrs

from orcastra_conformance.engine.outcome import CaseReport, Outcome
from orcastra_conformance.reports.report import Report, TierReport
from orcastra_core.model.profile import Profile

SCHEMA = 1
"""The version of the document's shape. A key may be added under the same version; anything else makes a new one."""


def to_json(report: Report) -> str:
    """Return the document: two spaces of indent, cases by id, a newline at the end."""
    return json.dumps(document(report), indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def schema() -> dict[str, Any]:
    """Return the JSON Schema of the document."""
    text = resources.files(__package__).joinpath(f"schema/report-{SCHEMA}.json").read_text(encoding="utf-8")
    loaded: dict[str, Any] = json.loads(text)
    return loaded


def document(report: Report) -> dict[str, Any]:
    """Return the document as plain values. A number without bound is null, as is what is not known or does not matter."""
    timed = report.seconds is not None
    return {
        "schema": SCHEMA,
        "harness": {"name": report.harness, "mode": report.mode},
        "server": attrs.asdict(report.facts) if report.facts is not None else None,
        "broker": _broker(report.profile) if report.profile is not None else None,
        "versions": attrs.asdict(report.versions),
        "verdict": report.verdict.value,
        "exit_code": report.exit_code,
        "whole": report.whole,
        "unfit": list(report.unfit),
        "left_behind": report.left_behind,
        "counts": _counts(report.counts),
        "profiles": {tier.tier.value: _tier(tier) for tier in report.tiers},
        "reproduce": report.reproduce,
        "seed": report.seed,
        "seconds": round(report.seconds, 3) if report.seconds is not None else None,
        "started_at": _moment(report.started_at),
        "cases": [_case(case, timed=timed) for case in report.sorted_cases()],
    }


def _broker(profile: Profile) -> dict[str, Any]:
    return {
        "server": profile.server,
        "durability": profile.durability.name,
        "clock_offset": round(profile.clock_offset, 6),
        "capabilities": sorted(cap.name for cap in profile.capabilities),
        "notes": {cap.name: note for cap, note in sorted(profile.notes.items(), key=lambda item: item[0].name)},
        "limits": limits(profile),
    }


def limits(profile: Profile) -> dict[str, Any]:
    """Return a broker's limits as plain values."""
    return {name: _finite(value) for name, value in attrs.asdict(profile.limits).items()}


def _tier(tier: TierReport) -> dict[str, Any]:
    return {
        "verdict": tier.verdict.value,
        "claimed": tier.claimed,
        "counts": _counts(tier.counts),
        "left_out": tier.left_out,
    }


def _case(report: CaseReport, *, timed: bool) -> dict[str, Any]:
    passed = report.outcome is Outcome.PASSED
    return {
        "id": report.case.id,
        "profile": report.case.tier.value,
        "since": report.case.since,
        "outcome": report.outcome.value,
        "shown": report.shown.value if report.shown is not None else None,
        "owed": report.case.why,
        "message": report.message,
        "timed_out": report.timed_out,
        "seconds": round(report.seconds, 4) if timed else None,
        "seed": report.seed if timed else None,
        "history": [] if passed else [str(entry) for entry in report.history],
        "reproduce": report.reproduce,
    }


def _counts(counts: Mapping[Outcome, int]) -> dict[str, int]:
    return {outcome.value: counts[outcome] for outcome in Outcome if counts.get(outcome)}


def _finite(value: Any) -> Any:
    if isinstance(value, tuple):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _moment(at: float | None) -> str | None:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="seconds") if at is not None else None
