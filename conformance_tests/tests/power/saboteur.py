"""A broker that is broken on purpose: one fault each, and the cases that have to notice."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeAlias

import attrs
import pytest

from orcastra_conformance import BrokerHarness
from orcastra_core.backends.memory.conformance import Harness

Spoil: TypeAlias = "Callable[[pytest.MonkeyPatch], BrokerHarness | None]"

SOON = 0.2
"""Seconds within which a saboteur of ``memory://`` must do what ought to happen at once: what never comes is soon noticed."""

_registry: dict[str, Saboteur] = {}


@attrs.frozen
class Saboteur:
    """One fault.

    Attributes:
        id: Stable, of words and hyphens.
        fault: What it does wrong, in a sentence.
        killed_by: The cases that must fail on it, each by an expectation.
        spoil: Puts the fault in, until the patch is undone.
    """

    id: str
    fault: str
    killed_by: tuple[str, ...]
    spoil: Spoil

    @contextmanager
    def at_work(self) -> Iterator[BrokerHarness]:
        """A harness, not started, whose brokers have the fault for as long as the context lasts."""
        with pytest.MonkeyPatch.context() as patch:
            yield self.spoil(patch) or reference()


def reference() -> BrokerHarness:
    """Return the harness of the broker that is spoilt, not started."""
    harness = Harness()
    harness.soon = SOON
    return harness


def saboteur(name: str, fault: str, *, killed_by: tuple[str, ...]) -> Callable[[Spoil], Spoil]:
    """Register what spoils the reference broker: it patches ``memory://``, and may return a harness of its own."""

    def register(spoil: Spoil) -> Spoil:
        if name in _registry:
            raise ValueError(f"two saboteurs are called {name}")
        _registry[name] = Saboteur(name, fault, killed_by, spoil)
        return spoil

    return register


def registered() -> list[Saboteur]:
    """Return the saboteurs of the modules imported so far, in their order."""
    return list(_registry.values())
