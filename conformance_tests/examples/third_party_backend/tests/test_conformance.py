"""The whole suite, a test a case."""

from orcastra_files.conformance import Harness

from orcastra_conformance.pytest_plugin import conformance

test_conformance = conformance(Harness)
