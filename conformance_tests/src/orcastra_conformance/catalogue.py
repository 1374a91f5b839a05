"""All the cases there are."""

from __future__ import annotations

import importlib
import pkgutil

from orcastra_conformance import cases
from orcastra_conformance.engine.case import Case, registered

_FIRST = ("publish", "consume", "lifecycle", "settle", "numbers", "sessions", "reaps")
"""The modules that a new broker makes green first, in this order: each builds on those before it."""


def all_cases() -> list[Case]:
    """Return every case, in the order in which a new broker would make them green."""
    names = sorted((module.name for module in pkgutil.iter_modules(cases.__path__)), key=_rank)
    for name in names:
        importlib.import_module(f"{cases.__name__}.{name}")
    # some may have been imported before
    return sorted(registered(), key=lambda case: _rank(case.body.__module__.rpartition(".")[2]))


def _rank(module: str) -> tuple[int, str]:
    return (_FIRST.index(module) if module in _FIRST else len(_FIRST), module)
