"""The suite on the reference broker behind a socket: the cases of mishap on a network, and all the others."""

from __future__ import annotations

from power.served.harness import Harness

from orcastra_conformance.pytest_plugin import conformance

test_conformance = conformance(Harness)
