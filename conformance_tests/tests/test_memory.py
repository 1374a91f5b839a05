"""The suite on the reference broker: conformant, as its committed report says."""

from __future__ import annotations

from pathlib import Path

from orcastra_conformance.pytest_plugin import conformance
from orcastra_core.backends.memory.conformance import Harness

REPORT = Path(__file__).parents[2] / "docs/conformance/0.1/memory-default.json"

test_conformance = conformance(Harness, report=REPORT if REPORT.exists() else None)
