"""A sequence as the numbers that chose it, and how it is made shorter."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeAlias

import attrs


@attrs.define
class Script:
    """What chose the steps of an example.

    Attributes:
        kinds: The kinds of envelopes that it publishes.
        steps: For each step the numbers it was chosen by.
    """

    kinds: bytes
    steps: list[bytes] = attrs.Factory(list)


Fails: TypeAlias = Callable[[Script], Awaitable[int]]
"""Repeats a script on a fresh domain: after how many steps it failed; 0 if it did not."""


async def shortened(script: Script, fails: Fails, *, enough: Callable[[], bool]) -> Script:
    """Return a shorter script that fails too: without what can be left out, and with what is left as plain as it can be.

    Args:
        script: One that fails.
        fails: Repeats one.
        enough: Whether to leave it as it is by now.
    """

    async def try_(candidate: Script) -> bool:
        nonlocal script
        taken = 0 if enough() else await fails(candidate)
        if taken:
            script = Script(candidate.kinds, candidate.steps[:taken])
        return bool(taken)

    size = max(1, len(script.steps) // 2)
    while size:
        at = 0
        while at < len(script.steps) and not enough():
            if not await try_(Script(script.kinds, script.steps[:at] + script.steps[at + size :])):
                at += size
        size //= 2
    for at in range(len(script.steps)):
        if at < len(script.steps):
            plain = script.steps[at][:1]
            await try_(Script(script.kinds, [*script.steps[:at], plain, *script.steps[at + 1 :]]))
    return script
