"""What an open broker has, for the event loop that opened it."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Awaitable, Callable
from typing import Any

from orcastra_core.interfaces.clock import Clock
from orcastra_core.model.errors import BrokerError
from orcastra_redis.link import Link
from orcastra_redis.listener import Listener
from orcastra_redis.settings import Settings

_log = logging.getLogger("orcastra.redis")


class Core:
    """The open half of a broker.

    Attributes:
        settings: From its URL.
        link: The way to the server.
        listener: What it is told.
        loop: To which it belongs.
        pid: And to which process.
        closed: Whether ``close`` was called.
        offset: Seconds the server's clock is ahead of ours.
        lanes_from: Where among the lanes the next sweep goes on; the server's to understand.
    """

    def __init__(self, settings: Settings, clock: Clock) -> None:
        self.settings = settings
        self.link = Link(settings)
        self.listener = Listener(self.link)
        self.loop = asyncio.get_running_loop()
        self.pid = os.getpid()
        self.closed = False
        self.offset = 0.0
        self.lanes_from = b"0"
        self._clock = clock
        self._chores: asyncio.Queue[Callable[[], Awaitable[Any]]] = asyncio.Queue()
        self._doing: asyncio.Task[None] | None = None

    def now(self) -> float:
        """Return the server's Unix time, about."""
        return self._clock.now() + self.offset

    def start(self) -> None:
        """Start what runs beside the calls."""
        self.listener.start()
        self._doing = self.loop.create_task(self._do_chores(), name="orcastra-redis-chores")

    def later(self, chore: Callable[[], Awaitable[Any]]) -> None:
        """Have something done that nobody waits for."""
        self._chores.put_nowait(chore)

    async def close(self) -> None:
        """End all of it."""
        self.closed = True
        while self._doing is not None and not self._doing.done():
            self._doing.cancel()  # the client library may swallow one while it closes a connection
            await asyncio.wait([self._doing], timeout=0.1)
        await self.listener.stop()
        await self.link.close()

    async def _do_chores(self) -> None:
        while True:
            chore = await self._chores.get()
            try:
                await chore()
            except BrokerError as error:
                _log.debug("%s", error)
