"""The suite on the embedded durable broker."""

from __future__ import annotations

from orcastra_conformance.pytest_plugin import conformance
from orcastra_core.backends.sqlite.conformance import Harness

test_conformance = conformance(Harness)
