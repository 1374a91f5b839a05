"""The suite on a memory broker that offers nothing it may leave out: every refusal is proved."""

from __future__ import annotations

from orcastra_conformance.engine.refusals import REFUSABLE
from orcastra_conformance.pytest_plugin import conformance
from orcastra_core.backends.memory.conformance import Harness

test_conformance = conformance(lambda: Harness(without=",".join(cap.name for cap in REFUSABLE)))
