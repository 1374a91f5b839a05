"""A broker that is odd, and keeps its contract to the letter: the guard against a suite that asks for too much."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeAlias

import attrs
import pytest

from orcastra_conformance import BrokerHarness
from orcastra_core.backends.memory.conformance import Harness

Bend: TypeAlias = "Callable[[pytest.MonkeyPatch], BrokerHarness | None]"

_registry: dict[str, Eccentric] = {}


@attrs.frozen
class Eccentric:
    """One oddity.

    Attributes:
        id: Stable, of words and hyphens.
        oddity: What is unusual about it, in a sentence.
        allowed_by: The sentence of the contract that lets it be so.
        bend: Puts the oddity in, until the patch is undone.
    """

    id: str
    oddity: str
    allowed_by: str
    bend: Bend

    @contextmanager
    def at_work(self) -> Iterator[BrokerHarness]:
        """A harness, not started, whose brokers are odd for as long as the context lasts."""
        with pytest.MonkeyPatch.context() as patch:
            yield self.bend(patch) or Harness()


def eccentric(name: str, oddity: str, *, allowed_by: str) -> Callable[[Bend], Bend]:
    """Register what bends the reference broker: it patches ``memory://``, and may return a harness of its own."""

    def register(bend: Bend) -> Bend:
        if name in _registry:
            raise ValueError(f"two eccentrics are called {name}")
        _registry[name] = Eccentric(name, oddity, allowed_by, bend)
        return bend

    return register


def registered() -> list[Eccentric]:
    """Return the eccentrics of the modules imported so far, in their order."""
    return list(_registry.values())
