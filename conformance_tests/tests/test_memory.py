"""The suite on the reference broker."""

from __future__ import annotations

from orcastra_conformance.pytest_plugin import conformance
from orcastra_core.backends.memory.conformance import Harness

test_conformance = conformance(Harness)
