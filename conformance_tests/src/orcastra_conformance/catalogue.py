"""All the cases there are."""

from __future__ import annotations

import importlib
import pkgutil

from orcastra_conformance import cases
from orcastra_conformance.engine.case import Case, registered


def all_cases() -> list[Case]:
    """Return every case, in order of their modules."""
    for module in pkgutil.iter_modules(cases.__path__):
        importlib.import_module(f"{cases.__name__}.{module.name}")
    return registered()
