"""What a broker promises, proved.

Three layers: the engine (``engine``, ``history``, ``faults``, ``modelling``;
knows no pytest), the cases (``cases``), and the adapters (``suite``, ``reports``,
``cli``, ``pytest_plugin``). Imports the core and no backend: a backend brings
its harness.
"""

from orcastra_conformance.catalogue import all_cases
from orcastra_conformance.engine.case import Case
from orcastra_conformance.engine.clock import VirtualClock
from orcastra_conformance.engine.expect import NotApplicable
from orcastra_conformance.engine.harness import Address, BrokerHarness, ServerFacts, Unproven
from orcastra_conformance.engine.outcome import CaseReport, Outcome
from orcastra_conformance.engine.runner import run_case
from orcastra_conformance.suite import run_suite

__all__ = [
    "Address",
    "BrokerHarness",
    "Case",
    "CaseReport",
    "NotApplicable",
    "Outcome",
    "ServerFacts",
    "Unproven",
    "VirtualClock",
    "all_cases",
    "run_case",
    "run_suite",
]
