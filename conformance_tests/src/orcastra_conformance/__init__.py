"""What a broker promises, proved.

Three layers: the engine (``case``, ``trial``, ``expect``, ``harness``,
``engine``; knows no pytest), the cases (``cases``), and the adapters
(``pytest_plugin``). Imports the core and no backend: a backend brings its
harness.
"""

from orcastra_conformance.case import Case
from orcastra_conformance.catalogue import all_cases
from orcastra_conformance.engine import CaseReport, Outcome, run_case, run_suite
from orcastra_conformance.harness import BrokerHarness, ServerFacts, Unproven

__all__ = [
    "BrokerHarness",
    "Case",
    "CaseReport",
    "Outcome",
    "ServerFacts",
    "Unproven",
    "all_cases",
    "run_case",
    "run_suite",
]
