"""Cases as data: an id, what it needs, why it matters, and what it runs."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from typing import TYPE_CHECKING, TypeAlias

import attrs

from orcastra_conformance.engine.tiers import TIER_OF_GROUP, Tier
from orcastra_core.model.profile import Cap

if TYPE_CHECKING:
    from orcastra_conformance.engine.trial import Trial

CaseBody: TypeAlias = "Callable[[Trial], Awaitable[None]]"

BUDGET = 2.0
"""Seconds a case may take."""
SLOW_BUDGET = 10.0
"""Seconds a case may take that waits for a lease where time cannot be moved, or tries every step."""

_registry: dict[str, Case] = {}


@attrs.frozen
class Case:
    """One thing that must hold.

    Attributes:
        id: Stable: «group.what-holds».
        group: The part before the dot.
        tier: The profile of the report that it counts for.
        needs: Run only where all of these are claimed; elsewhere their refusal is checked.
        unclaimed: Run only where this is not claimed: it proves the refusal itself.
        why: The sentence of the contract that it proves.
        hint: What an author whose broker fails it should look at; may be empty.
        since: The contract version that first asked for it.
        provisional: Whether it is too new to count: it runs and is reported.
        budget: Seconds it may take.
        body: What it runs.
    """

    id: str
    group: str
    tier: Tier
    needs: frozenset[Cap]
    unclaimed: Cap | None
    why: str
    body: CaseBody
    hint: str = ""
    since: str = "0.1"
    provisional: bool = False
    budget: float = BUDGET


def case(
    case_id: str,
    *,
    why: str,
    hint: str = "",
    needs: Iterable[Cap] = (),
    unclaimed: Cap | None = None,
    slow: bool = False,
    budget: float | None = None,
    tier: Tier | None = None,
    since: str = "0.1",
    provisional: bool = False,
) -> Callable[[CaseBody], CaseBody]:
    """Register a case.

    Args:
        case_id: Stable and unique: «group.what-holds».
        why: What is owed, in the words of the contract.
        hint: Where to look when it fails, if ``why`` does not say it.
        needs: The capabilities without which there is nothing to prove.
        unclaimed: The capability whose refusal it proves.
        slow: Whether it waits for a lease or tries every step: ten seconds instead of two.
        budget: Seconds it may take, where neither is right.
        tier: The profile it counts for, if not that of its group.
        since: The contract version that first asks for it.
        provisional: Whether it runs and is reported, but does not count yet.
    """

    def register(body: CaseBody) -> CaseBody:
        if case_id in _registry:
            raise ValueError(f"two cases are called {case_id}")
        group, _, _ = case_id.partition(".")
        _registry[case_id] = Case(
            id=case_id,
            group=group,
            tier=tier or TIER_OF_GROUP[group],
            needs=frozenset(needs),
            unclaimed=unclaimed,
            why=why,
            body=body,
            hint=hint,
            since=since,
            provisional=provisional,
            budget=budget or (SLOW_BUDGET if slow else BUDGET),
        )
        return body

    return register


def registered() -> list[Case]:
    """Return the cases of the modules imported so far, in their order."""
    return list(_registry.values())
