"""A report read back, to compare with."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import attrs

from orcastra_conformance.engine.outcome import Outcome
from orcastra_conformance.reports.json_report import SCHEMA
from orcastra_conformance.reports.verdict import Verdict


class ReportError(ValueError):
    """A file that is no report, or of a schema that this suite does not know."""


@attrs.frozen
class StoredReport:
    """What of a ``report.json`` says something about a broker.

    Attributes:
        harness: The harness's name.
        mode: How its server was set up.
        contract: What the broker was written against.
        verdict: Of the whole run.
        profiles: The verdict of each profile of the report, by its name.
        outcomes: What each case showed, by its id.
        capabilities: What the broker claimed, by name; None if it never opened.
        limits: Its limits as they stand in the file; None likewise.
        durability: Its durability's name; None likewise.
        source: Where it was read from, for messages.
    """

    harness: str
    mode: str
    contract: str
    verdict: Verdict
    profiles: Mapping[str, Verdict]
    outcomes: Mapping[str, Outcome]
    capabilities: frozenset[str] | None = None
    limits: Mapping[str, Any] | None = None
    durability: str | None = None
    source: str = "the stored report"


def read_report(path: Path) -> StoredReport:
    """Read a ``report.json``. Raises ReportError; OSError if it cannot be read."""
    return parse_report(path.read_text(encoding="utf-8"), source=str(path))


def parse_report(text: str, *, source: str = "the stored report") -> StoredReport:
    """Read the text of a ``report.json``. Raises ReportError."""
    try:
        document = json.loads(text)
    except ValueError as error:
        raise ReportError(f"{source}: is no JSON: {error}") from error
    version = document.get("schema") if isinstance(document, dict) else None
    if version != SCHEMA:
        told = f"has schema {version!r}, and this suite reads {SCHEMA}" if version is not None else "is no report"
        raise ReportError(f"{source}: {told}")
    try:
        broker = document["broker"] or {}
        return StoredReport(
            harness=document["harness"]["name"],
            mode=document["harness"]["mode"],
            contract=document["versions"]["contract"],
            verdict=Verdict(document["verdict"]),
            profiles={name: Verdict(tier["verdict"]) for name, tier in document["profiles"].items()},
            outcomes={case["id"]: Outcome(case["outcome"]) for case in document["cases"]},
            capabilities=frozenset(broker["capabilities"]) if broker else None,
            limits=broker.get("limits"),
            durability=broker.get("durability"),
            source=source,
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ReportError(f"{source}: is no report of schema {SCHEMA}: {type(error).__name__}: {error}") from error
