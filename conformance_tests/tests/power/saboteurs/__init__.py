"""The saboteurs, a module for each part of the contract that they break."""

from __future__ import annotations

import importlib
import pkgutil

from power.saboteur import Saboteur, registered


def all_saboteurs() -> list[Saboteur]:
    """Return every saboteur, in order of their modules."""
    for module in pkgutil.iter_modules(__path__):
        importlib.import_module(f"{__name__}.{module.name}")
    return registered()
