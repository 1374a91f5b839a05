"""What has to be done now and then, by whoever is there."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from orcastra_postgres.core import Core

_ADVANCE_EVERY = 0.25
_TIDY_EVERY = 60.0


class Chores:
    """Keeps the store lean beside the calls.

    Taken rows leave dead entries behind, which a fetch would walk over until they are vacuumed, and they cannot be while
    somebody holds an old snapshot. So the lanes' marks are moved up behind what was taken, several times a second.
    """

    def __init__(self, core: Core) -> None:
        self._core = core
        self._advanced = 0.0
        self._advancing = False
        self._point: tuple[int | None, str | None] = (None, None)
        self._tidied = asyncio.get_running_loop().time()

    def taken(self) -> None:
        """Note that a fetch took something."""
        now = asyncio.get_running_loop().time()
        if now - self._advanced >= _ADVANCE_EVERY and not self._advancing:
            self._advanced, self._advancing = now, True
            self._core.later(self._advance)

    async def swept(self) -> None:
        """Note that somebody sweeps; forget what nobody will ask for."""
        now = asyncio.get_running_loop().time()
        if now - self._tidied >= _TIDY_EVERY:
            self._tidied = now
            await self._core.ask("tidy", self._core.domain)
            await self._core.ask("trim_events", self._core.domain, self._core.settings.events_max)

    async def _advance(self) -> None:
        try:
            self._point = tuple(await self._core.call("advance", self._core.domain, *self._point))
        finally:
            self._advancing = False
