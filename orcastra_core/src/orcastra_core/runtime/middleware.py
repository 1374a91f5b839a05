"""Composition of middleware: the first of the list is the outermost."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any

from orcastra_core.interfaces.middleware import Middleware
from orcastra_core.model.delivery import Delivery
from orcastra_core.model.envelope import Envelope
from orcastra_core.model.published import Published


def around_submit(
    layers: Sequence[Middleware], submit: Callable[[Envelope], Awaitable[Published]]
) -> Callable[[Envelope], Awaitable[Published]]:
    """Return ``submit`` wrapped in every layer's ``on_submit``."""
    for layer in reversed(layers):
        submit = partial(_submit_through, layer, submit)
    return submit


def _submit_through(
    layer: Middleware, call_next: Callable[[Envelope], Awaitable[Published]], envelope: Envelope
) -> Awaitable[Published]:
    return layer.on_submit(envelope, call_next)


async def run_through(layers: Sequence[Middleware], delivery: Delivery, run: Callable[[], Awaitable[Any]]) -> Any:
    """Await ``run`` inside every layer's ``on_run``."""
    for layer in reversed(layers):
        run = partial(layer.on_run, delivery, run)
    return await run()
