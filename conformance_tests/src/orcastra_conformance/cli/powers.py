"""Which of the harness's powers a case calls on, read off its code."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from types import CodeType, FunctionType

from orcastra_conformance.engine.case import Case
from orcastra_conformance.engine.trial import Trial

POWERS = (
    "advance",
    "silence",
    "revive",
    "plant",
    "census",
    "wreck",
    "rows",
    "restart_server",
    "pause_server",
    "address",
    "dial",
)
"""The optional methods of BrokerHarness, by which cases bring about time and mishap."""

_OURS = "orcastra_conformance."


def powers_used(case: Case) -> list[str]:
    """Return the powers that a case names, itself or in what it calls of the suite."""
    body = inspect.unwrap(case.body)
    if not isinstance(body, FunctionType):
        return []
    names = _names(body, set())
    return [power for power in POWERS if power in names]


def _names(function: FunctionType, seen: set[CodeType]) -> set[str]:
    if function.__code__ in seen:
        return set()
    seen.add(function.__code__)
    names = {name for code in _codes(function.__code__) for name in code.co_names}
    found = set(names)
    for name in names:
        # a move of the Trial's (but the moment that passes in every fetch says nothing), or a function of the module
        move = vars(Trial).get(name) if name.strip("_") != "fetch_for_a_moment" else None
        for called in (move, function.__globals__.get(name)):
            if isinstance(called, FunctionType) and called.__module__.startswith(_OURS):
                found |= _names(called, seen)
    return found


def _codes(code: CodeType) -> Iterator[CodeType]:
    yield code
    for const in code.co_consts:
        if isinstance(const, CodeType):
            yield from _codes(const)
