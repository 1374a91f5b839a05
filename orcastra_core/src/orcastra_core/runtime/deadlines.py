"""Timeouts of running tasks: one timer for all of them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Generic, TypeVar

K = TypeVar("K")


class Deadlines(Generic[K]):
    """Calls back for each key whose time is up.

    Keys with the same timeout expire in the order they were added, so a dict
    a timeout, oldest first, is all the order there is to keep: adding and
    discarding cost one dict operation, where a timer each costs microseconds.
    """

    def __init__(self, on_expired: Callable[[K], None]) -> None:
        self._on_expired = on_expired
        self._loop = asyncio.get_running_loop()
        self._by_timeout: dict[float, dict[K, float]] = {}
        self._timer: asyncio.TimerHandle | None = None

    def add(self, key: K, timeout: float) -> None:
        """Watch ``key`` for ``timeout`` seconds from now."""
        line = self._by_timeout.get(timeout)
        if line is None:
            line = self._by_timeout[timeout] = {}
        at = self._loop.time() + timeout
        line[key] = at
        if self._timer is None or at < self._timer.when():
            self._arm(at)

    def discard(self, key: K, timeout: float) -> None:
        """Stop watching; ``timeout`` as in ``add``."""
        line = self._by_timeout.get(timeout)
        if line is not None:
            line.pop(key, None)

    def close(self) -> None:
        """Forget everything."""
        self._by_timeout.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _arm(self, at: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_at(at, self._fire)

    def _fire(self) -> None:
        self._timer = None
        now = self._loop.time()
        for timeout, line in list(self._by_timeout.items()):
            while line:
                key = next(iter(line))
                if line[key] > now:
                    break
                del line[key]
                self._on_expired(key)
            if not line:
                del self._by_timeout[timeout]
        heads = [next(iter(line.values())) for line in self._by_timeout.values() if line]
        if heads:
            self._arm(min(heads))
