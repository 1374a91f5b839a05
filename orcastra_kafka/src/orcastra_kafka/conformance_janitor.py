"""The harness's connection to a cluster, which outlasts the cases."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack, suppress
from typing import TypeVar

from aiokafka.errors import KafkaError

from orcastra_kafka.conformance_admin import Admin, admin

T = TypeVar("T")


class Janitor:
    """Keeps an ``Admin`` in a thread of its own, for an event loop lasts no longer than a case.

    Args:
        server: ``host:port`` of one of the cluster's brokers.
    """

    def __init__(self, server: str) -> None:
        self._server = server
        self._loop = asyncio.new_event_loop()
        self._connected = AsyncExitStack()
        self._admin: Admin | None = None
        self._connecting: asyncio.Lock | None = None
        self._later: set[asyncio.Task[None]] = set()
        self._thread = threading.Thread(target=self._run, name="conformance-janitor", daemon=True)
        self._thread.start()

    async def do(self, work: Callable[[Admin], Awaitable[T]]) -> T:
        """Return what ``work`` returns; it is called in the thread's loop, and once more if the connection was lost."""
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(self._insist(work), self._loop))

    async def do_later(self, work: Callable[[Admin], Awaitable[None]]) -> None:
        """Begin ``work``, and wait for it no longer than until ``close``."""
        await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(self._begin(work), self._loop))

    def close(self) -> None:
        """Give up what is under way, and disconnect."""
        asyncio.run_coroutine_threadsafe(self._end(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_forever()
        self._loop.close()

    async def _insist(self, work: Callable[[Admin], Awaitable[T]]) -> T:
        used = await self._connect(None)
        try:
            return await work(used)
        except (KafkaError, OSError):
            return await work(await self._connect(used))

    async def _connect(self, lost: Admin | None) -> Admin:
        if self._connecting is None:
            self._connecting = asyncio.Lock()
        async with self._connecting:
            if self._admin is None or self._admin is lost:
                await self._connected.aclose()
                self._admin = await self._connected.enter_async_context(admin(self._server))
            return self._admin

    async def _begin(self, work: Callable[[Admin], Awaitable[None]]) -> None:
        async def quietly() -> None:
            with suppress(KafkaError, OSError):
                await self._insist(work)

        task = self._loop.create_task(quietly())
        self._later.add(task)
        task.add_done_callback(self._later.discard)

    async def _end(self) -> None:
        for task in self._later:
            task.cancel()
        if self._later:
            await asyncio.wait(self._later)
        await self._connected.aclose()
