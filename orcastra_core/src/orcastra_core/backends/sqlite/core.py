"""What an open broker has: its threads, its directory, its post."""

from __future__ import annotations

import asyncio
import os
import sqlite3
from collections.abc import Callable
from typing import TypeVar

from orcastra_core.backends.sqlite.calls import CallThread
from orcastra_core.backends.sqlite.doorbell import Post
from orcastra_core.backends.sqlite.place import Place
from orcastra_core.backends.sqlite.reader import Reader
from orcastra_core.backends.sqlite.settings import Settings
from orcastra_core.backends.sqlite.sweep import Watch
from orcastra_core.backends.sqlite.tx import Effects, Tx
from orcastra_core.backends.sqlite.waking import Waking
from orcastra_core.backends.sqlite.writer import Writer
from orcastra_core.interfaces.clock import Clock
from orcastra_core.model.errors import BrokerClosed

T = TypeVar("T")


class Core:
    """The machinery between ``open`` and ``close``.

    Attributes:
        loop: The event loop it belongs to.
        pid: The process it belongs to.
        listeners: Called when the file changed and somebody polls.
    """

    def __init__(self, settings: Settings, clock: Clock) -> None:
        """Start the threads. Raises OSError."""
        self.settings = settings
        self.clock = clock
        self.loop = asyncio.get_running_loop()
        self.pid = os.getpid()
        self.place = Place(settings.path)
        self.post = Post(self.place)
        self.watch = Watch(self.place)
        self.listeners: set[Callable[[], None]] = set()
        self.closed = False
        self._silent = False
        self._waking = Waking(self.place, self.post)
        self._writer = Writer(settings, self.place.lock_path, self.loop, clock, self._tell)
        self.reader = Reader(settings.path, self.loop, self._on_changed, self._on_tick)
        self._writer.start()
        self.reader.start()

    async def connect(self) -> None:
        """Open the file, making or migrating its layout. Raises BrokerError or ContractMismatch."""
        await self._writer.run(lambda tx: None)
        self.reader.identity = self._writer.identity

    async def write(self, work: Callable[[Tx], T], *, durable: bool = False, weight: int = 1) -> T:
        """Run an operation in a write transaction; see ``CallThread.run``.

        Args:
            work: Called in the writer's thread, possibly more than once; only its last run counts.
            durable: Whether to flush to disk, as the settings say, before answering.
            weight: About how many rows it touches.
        """
        return await self._writer.run(work, durable=durable, weight=weight)

    def write_later(self, work: Callable[[Tx], object]) -> None:
        """Have an operation run after all that were asked for before; nobody waits for it."""
        self._writer.run_later(work)

    async def read(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Run a read on one snapshot."""
        return await self.reader.run(work)

    async def close(self) -> None:
        """End the threads. Idempotent; returns within a second."""
        self.closed = True
        threads: list[CallThread] = [self._writer, self.reader]
        async with asyncio.TaskGroup() as group:
            for thread in threads:
                group.create_task(thread.close())
        self._silent = True  # a thread that was left behind a lock tells nobody any more
        self.post.close()
        self._waking.close()
        self.place.close()

    def _tell(self, effects: Effects) -> None:
        if not self._silent:
            self._waking.tell(effects)

    def _on_changed(self) -> None:
        for listener in list(self.listeners):
            listener()

    def _on_tick(self) -> bool:
        self.watch.sign_of_life()
        self._writer.expire_waiting(self.settings.busy_timeout)
        return self.post.flush()


def not_open(path: str) -> BrokerClosed:
    """Return the error for using a broker that is not open."""
    return BrokerClosed(f"{path}: the broker is not open")
