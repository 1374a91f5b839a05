"""Code around every submit and every run."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Protocol

from orcastra_core.model.delivery import Delivery
from orcastra_core.model.envelope import Envelope
from orcastra_core.model.published import Published


class Middleware(Protocol):
    """Wraps submit and run; the first of the list is the outermost.

    Both methods await ``call_next`` once, or not at all to take its place. One
    instance serves all tasks of a process, concurrently.
    """

    async def on_submit(
        self, envelope: Envelope, call_next: Callable[[Envelope], Awaitable[Published]], /
    ) -> Published:
        """Around a submit, before batching; may pass on a changed envelope."""
        ...

    async def on_run(self, delivery: Delivery, call_next: Callable[[], Awaitable[Any]], /) -> Any:
        """Around one attempt, in its task; returns the task's value or raises what it raised."""
        ...
