"""Reports on disk."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path

from orcastra_conformance.reports.badge import to_badge
from orcastra_conformance.reports.json_report import to_json
from orcastra_conformance.reports.junit import to_junit
from orcastra_conformance.reports.markdown import to_markdown
from orcastra_conformance.reports.report import Report
from orcastra_conformance.reports.stable import stable


def write(report: Report, directory: Path, *, timings: bool = True) -> list[Path]:
    """Write ``report.json``, ``report.md``, ``junit.xml`` and ``badge.json`` into a directory; it is made if need be.

    Each file appears whole or not at all; what was there before is replaced.

    Args:
        report: What to write.
        directory: Where.
        timings: Whether to write times, seeds and histories too. Without them the files of two runs with
            the same outcomes are the same.

    Returns:
        The files, in this order.
    """
    told = report if timings else stable(report)
    return _replace(
        directory,
        {
            "report.json": to_json(told),
            "report.md": to_markdown(told),
            "junit.xml": to_junit(told),
            "badge.json": to_badge(told),
        },
    )


def archive(report: Report, root: Path) -> list[Path]:
    """Write a report to be committed: ``root/<contract>/<harness>-<mode>.json`` and ``.md``, without timings."""
    told = stable(report)
    path = archived(root, contract=report.versions.contract, harness=report.harness, mode=report.mode)
    return _replace(path.parent, {path.name: to_json(told), f"{path.stem}.md": to_markdown(told)})


def archived(root: Path, *, contract: str, harness: str, mode: str) -> Path:
    """Return where ``archive`` puts the JSON."""
    return root / contract / f"{_slug(harness)}-{_slug(mode)}.json"


def _slug(text: str) -> str:
    return re.sub(r"[^a-z0-9.]+", "-", text.lower()).strip("-.") or "default"


def _replace(directory: Path, files: Mapping[str, str]) -> list[Path]:
    directory.mkdir(parents=True, exist_ok=True)
    return [_replaced(directory / name, text) for name, text in files.items()]


def _replaced(path: Path, text: str) -> Path:
    draft = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        draft.write_text(text, encoding="utf-8", newline="\n")
        os.replace(draft, path)
    finally:
        draft.unlink(missing_ok=True)
    return path
