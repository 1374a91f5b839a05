"""Asking a harness for something, and making a sentence of whatever goes wrong."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

from orcastra_conformance.engine.expect import NotApplicable
from orcastra_conformance.engine.harness import Unproven
from orcastra_core.interfaces.broker import Broker
from orcastra_core.model.profile import Profile

PATIENCE = 10.0
"""Seconds that a method of the harness, or of a broker before the first case, may take."""


class Unfit(Exception):  # noqa: N818 - a finding
    """The harness is broken; the sentence names its method and what to do."""


@asynccontextmanager
async def asked(method: str, todo: str) -> AsyncIterator[None]:
    """Make Unfit of what a method of the harness raises, but for what an absent power says.

    Args:
        method: Its name.
        todo: What it has to do, for whoever has to repair it.
    """
    patience = asyncio.timeout(PATIENCE)
    try:
        async with patience:
            yield
    except (Unproven, NotApplicable, Unfit):
        raise
    except Exception as error:
        if patience.expired():
            raise Unfit(f"{method}() did not return within {PATIENCE:g} s: {todo}") from error
        raise Unfit(f"{method}() raised {told(error)}: {todo}") from error


def told(error: BaseException) -> str:
    """Return an exception in a line."""
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


@contextmanager
def noting_opens(kind: type[Broker]) -> Iterator[list[Broker]]:
    """Note which brokers of a class are opened meanwhile."""
    opened: list[Broker] = []
    plain, own = kind.open, "open" in vars(kind)

    async def noting(self: Broker) -> Profile:
        opened.append(self)
        return await plain(self)

    kind.open = noting  # type: ignore[method-assign]
    try:
        yield opened
    finally:
        if own:
            kind.open = plain  # type: ignore[method-assign]
        else:
            del kind.open
