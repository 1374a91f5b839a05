"""A session, on the server's side, and how what was not heard is told again."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from orcastra_core.backends.memory.session import MemorySession
from orcastra_core.model.delivery import Delivery, Receipt, Want
from orcastra_core.model.errors import BrokerTimeout


class Repeated:
    """Asks a source that tells everything once, and tells it again to whoever lost the reply: he asks with the same number."""

    def __init__(self, ask: Callable[[float], Awaitable[Sequence[Any]]]) -> None:
        self._ask = ask
        self._number = 0
        self._told: Sequence[Any] = ()
        self._asking: asyncio.Task[Any] | None = None

    async def __call__(self, number: int, wait: float) -> Sequence[Any]:
        if number != self._number or not self._told:
            self._asking = await supersede(self._asking)
            self._number, self._told = number, ()
            self._told = await self._ask(wait)
        return self._told


async def supersede(before: asyncio.Task[Any] | None) -> asyncio.Task[Any] | None:
    """End an older call that nobody waits for any more; return the running one in its place."""
    if before is not None and not before.done():
        before.cancel()
        await asyncio.wait([before])
    return asyncio.current_task()


class Seat:
    """A session, on the server's side."""

    def __init__(self, session: MemorySession) -> None:
        self.signals = Repeated(lambda wait: session.signals(wait=wait))
        self.settle, self.held, self.leave = session.settle, session.held, session.leave
        self._session = session
        self._number = 0
        self._fetching: asyncio.Task[Any] | None = None

    async def fetch(self, number: int, want: Want, wait: float, known: Sequence[Receipt] | None) -> Sequence[Delivery]:
        """Hand out, and first what the session holds and is not ``known`` to its client, if that is said."""
        self._number = max(self._number, number)
        self._fetching = await supersede(self._fetching)
        if number < self._number:
            raise BrokerTimeout("this fetch was given up: a later one has come in")
        if known is not None:
            self._session.disown([one for one in await self._session.held() if one not in set(known)])
        return await self._session.fetch(want, wait=wait)
