"""What a broker promises, proved.

Three layers: the engine (``engine``, ``history``, ``faults``, ``modelling``;
knows no pytest), the cases (``cases``), and the adapters (``suite``, ``reports``,
``cli``, ``pytest_plugin``). Imports the core and no backend: a backend brings
its harness.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from orcastra_conformance.catalogue import all_cases
    from orcastra_conformance.engine.case import Case
    from orcastra_conformance.engine.clock import VirtualClock
    from orcastra_conformance.engine.expect import NotApplicable
    from orcastra_conformance.engine.harness import Address, BrokerHarness, ServerFacts, Unproven
    from orcastra_conformance.engine.outcome import CaseReport, Outcome
    from orcastra_conformance.engine.rows import Rows
    from orcastra_conformance.engine.runner import run_case
    from orcastra_conformance.reports.deviations import load_deviations
    from orcastra_conformance.reports.report import Report
    from orcastra_conformance.reports.verdict import Verdict
    from orcastra_conformance.suite import run_suite
else:
    # every pytest of an environment loads ``pytest_options``, and with it this module: what it names is imported when used
    _HOMES = {
        "Address": "engine.harness",
        "BrokerHarness": "engine.harness",
        "Case": "engine.case",
        "CaseReport": "engine.outcome",
        "NotApplicable": "engine.expect",
        "Outcome": "engine.outcome",
        "Report": "reports.report",
        "Rows": "engine.rows",
        "ServerFacts": "engine.harness",
        "Unproven": "engine.harness",
        "Verdict": "reports.verdict",
        "VirtualClock": "engine.clock",
        "all_cases": "catalogue",
        "load_deviations": "reports.deviations",
        "run_case": "engine.runner",
        "run_suite": "suite",
    }

    def __getattr__(name: str) -> Any:
        if name not in _HOMES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        value = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
        globals()[name] = value
        return value


__all__ = [
    "Address",
    "BrokerHarness",
    "Case",
    "CaseReport",
    "NotApplicable",
    "Outcome",
    "Report",
    "Rows",
    "ServerFacts",
    "Unproven",
    "Verdict",
    "VirtualClock",
    "all_cases",
    "load_deviations",
    "run_case",
    "run_suite",
]
