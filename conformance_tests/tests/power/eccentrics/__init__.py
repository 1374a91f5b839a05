"""The eccentrics, a module for each part of the contract that they take at its word."""

from __future__ import annotations

import importlib
import pkgutil

from power.eccentric import Eccentric, registered


def all_eccentrics() -> list[Eccentric]:
    """Return every eccentric, in order of their modules."""
    for module in pkgutil.iter_modules(__path__):
        importlib.import_module(f"{__name__}.{module.name}")
    return registered()
