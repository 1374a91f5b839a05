"""The suite on a memory broker that offers nothing it may leave out: every refusal is proved."""

from __future__ import annotations

from pathlib import Path

from orcastra_conformance.pytest_plugin import conformance
from orcastra_core.backends.memory.conformance import Harness

REPORT = Path(__file__).parents[2] / "docs/conformance/0.1/memory-lesser.json"

test_conformance = conformance(lambda: Harness("lesser"), report=REPORT if REPORT.exists() else None)
