"""Cases as data: an id, what it needs, why it matters, and what it runs."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from typing import TYPE_CHECKING, TypeAlias

import attrs

from orcastra_core.model.profile import Cap

if TYPE_CHECKING:
    from orcastra_conformance.trial import Trial

CaseBody: TypeAlias = "Callable[[Trial], Awaitable[None]]"

BUDGET = 2.0
"""Seconds a case may take."""
SLOW_BUDGET = 10.0
"""Seconds a case may take that waits for a lease where time cannot be moved."""

_registry: dict[str, Case] = {}


@attrs.frozen
class Case:
    """One thing that must hold.

    Attributes:
        id: Stable: «group.what-holds».
        group: The part before the dot.
        needs: Run only where all of these are claimed; elsewhere their refusal is checked.
        unclaimed: Run only where this is not claimed: it proves the refusal itself.
        why: The sentence of the contract that it proves.
        slow: Whether it waits for a lease.
        body: What it runs.
    """

    id: str
    group: str
    needs: frozenset[Cap]
    unclaimed: Cap | None
    why: str
    slow: bool
    body: CaseBody

    @property
    def budget(self) -> float:
        """Seconds it may take."""
        return SLOW_BUDGET if self.slow else BUDGET


def case(
    case_id: str, *, why: str, needs: Iterable[Cap] = (), unclaimed: Cap | None = None, slow: bool = False
) -> Callable[[CaseBody], CaseBody]:
    """Register a case.

    Args:
        case_id: Stable and unique: «group.what-holds».
        why: What is owed, in the words of the contract.
        needs: The capabilities without which there is nothing to prove.
        unclaimed: The capability whose refusal it proves.
        slow: Whether it waits for a lease.
    """

    def register(body: CaseBody) -> CaseBody:
        if case_id in _registry:
            raise ValueError(f"two cases are called {case_id}")
        group, _, _ = case_id.partition(".")
        _registry[case_id] = Case(case_id, group, frozenset(needs), unclaimed, why, slow, body)
        return body

    return register


def registered() -> list[Case]:
    """Return the cases of the modules imported so far, in their order."""
    return list(_registry.values())
