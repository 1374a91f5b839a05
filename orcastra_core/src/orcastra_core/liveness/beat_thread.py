"""Staying alive by a thread of its own, with its own event loop and connection."""

from __future__ import annotations

import asyncio
import logging
import os
import threading
from collections.abc import Awaitable, Callable

from orcastra_core.model.errors import BrokerError

_log = logging.getLogger("orcastra.liveness")

BEATS_PER_LEASE = 4
"""A session may miss three beats and still be alive at its lease's end."""


class BeatThread:
    """Beats for one session, whatever the caller's event loop does.

    The thread runs ``beat`` in an event loop of its own, ``BEATS_PER_LEASE``
    times a lease. What it raises is logged once and tried again sooner: an
    outage ends nothing. When ``beat`` answers False the session was reaped:
    ``on_fenced`` is called, in this thread, and the beating stops. The first beat comes
    one interval after the start, or ``at_once``.

    A daemon thread: it dies with its process, and a forked child has none.
    """

    def __init__(
        self,
        name: str,
        *,
        lease: float,
        beat: Callable[[], Awaitable[bool]],
        on_fenced: Callable[[], None],
        on_stop: Callable[[], Awaitable[None]] | None = None,
        at_once: bool = False,
    ) -> None:
        self._every = lease / BEATS_PER_LEASE
        self._first = 0.0 if at_once else self._every
        self._beat = beat
        self._on_fenced = on_fenced
        self._on_stop = on_stop
        self._pid = os.getpid()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopping: asyncio.Event | None = None
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"orcastra-beat-{name}", daemon=True)

    def start(self) -> None:
        """Start beating; returns at once."""
        self._thread.start()

    def stop(self, *, join: float = 5.0) -> None:
        """Stop beating and wait up to ``join`` seconds for the thread. Idempotent; nothing to do in a forked child."""
        if self._pid != os.getpid() or not self._thread.is_alive():
            return
        self._ready.wait(join)
        if self._loop is not None and self._stopping is not None:
            try:
                self._loop.call_soon_threadsafe(self._stopping.set)
            except RuntimeError:  # its loop closed between the check and the call
                return
        if threading.current_thread() is not self._thread:
            self._thread.join(join)

    def _run(self) -> None:
        asyncio.run(self._live())

    async def _live(self) -> None:
        self._loop, self._stopping = asyncio.get_running_loop(), asyncio.Event()
        self._ready.set()
        failing = False
        pause = self._first
        while not await self._stopped_within(pause):
            try:
                alive = await self._beat()
            except Exception as error:  # noqa: BLE001 - a backend's bug must not end a healthy session in silence
                if not failing:
                    bug = None if isinstance(error, BrokerError) else error
                    _log.warning("a beat did not reach the store (%s); the session goes on trying", error, exc_info=bug)
                failing, pause = True, self._every / 4
                continue
            if failing:
                _log.info("beats reach the store again")
            failing, pause = False, self._every
            if not alive:
                self._on_fenced()
                break
        if self._on_stop is not None:
            await self._on_stop()

    async def _stopped_within(self, seconds: float) -> bool:
        assert self._stopping is not None
        try:
            async with asyncio.timeout(seconds):
                await self._stopping.wait()
        except TimeoutError:
            return False
        return True
