"""A session's beat, in a thread and on a connection of its own."""

from __future__ import annotations

import threading
from collections.abc import Callable

import attrs

from orcastra_core.liveness.beat_thread import BeatThread
from orcastra_redis.link import Link
from orcastra_redis.settings import Settings

DAY = 86_400_000
"""Milliseconds a session's record lives without a beat: long enough to find out that it lapsed."""


class Beat:
    """Keeps a session's record fresh."""

    def __init__(self, settings: Settings, session: str, lease: float, on_fenced: Callable[[], None]) -> None:
        # an answer that takes longer than a quarter of a lease is none
        self._settings = attrs.evolve(
            settings,
            timeout=max(0.1, min(settings.timeout, lease / 4)),
            connect_timeout=max(0.1, min(settings.connect_timeout, lease / 2)),
        )
        self._session = session
        self._link: Link | None = None
        self._suspended = False
        self._beating = threading.Lock()
        self._thread = BeatThread(session, lease=lease, beat=self._once, on_fenced=on_fenced, on_stop=self._close)

    def start(self) -> None:
        """Start."""
        self._thread.start()

    def stop(self) -> None:
        """Stop, and wait for the thread."""
        self._thread.stop()

    def suspend(self) -> None:
        """Only seem to beat from now on; returns once a beat under way is over. For tests."""
        self._suspended = True
        with self._beating:
            pass

    def resume(self) -> None:
        """Beat again. For tests."""
        self._suspended = False

    async def _once(self) -> bool:
        with self._beating:
            if self._suspended:
                return True
            if self._link is None:
                self._link = Link(self._settings)
            return await beat(self._link, self._session)

    async def _close(self) -> None:
        if self._link is not None:
            await self._link.close()


async def beat(link: Link, session: str) -> bool:
    """Beat once; False if the session was reaped."""
    return bool(await link.call("PEXPIRE", f"{link.prefix}n:{session}", DAY))
