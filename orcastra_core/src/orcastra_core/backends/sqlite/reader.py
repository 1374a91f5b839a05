"""The thread that reads, and that looks after what nobody is told about."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import Callable

from orcastra_core.backends.sqlite.calls import CallThread
from orcastra_core.backends.sqlite.connection import FileIdentity, open_reader

POLL = 0.02
"""Seconds between looks at the file's version while somebody waits: behind the doorbells."""

TICK = 0.2
"""Seconds between signs of life of this thread, whatever there is to do."""


class Reader(CallThread):
    """Runs reads, each on one snapshot of the file, on a connection of its own.

    When idle it ticks: it polls the version of the file for those who wait, and
    it notes gaps in its own time: a process that was stopped cannot judge the silence of others.

    Attributes:
        watchers: How many wait for something to change in the file.
        identity: Which file it is to be, once the writer has opened it.
    """

    def __init__(
        self,
        path: str,
        loop: asyncio.AbstractEventLoop,
        on_changed: Callable[[], None],
        on_tick: Callable[[], bool],
    ) -> None:
        super().__init__("reader", path, loop)
        self.watchers = 0
        self.identity: FileIdentity | None = None
        self._on_changed = on_changed
        self._on_tick = on_tick
        self._hurry = False
        self._conn: sqlite3.Connection | None = None
        self._data_version: int | None = None
        self._ticked = 0.0

    def idle_seconds(self) -> float:
        return POLL if self.watchers or self._hurry else TICK

    def watch(self) -> None:
        """Begin to poll at once, if that was idle. From the event loop."""
        self.watchers += 1
        if self.watchers == 1:
            with self._wake:
                self._wake.notify()

    def serve(self) -> None:
        for call in self.take(1):
            try:
                answer = self._read(call)
            except Exception as error:
                self.deliver([(call, None, error)])
            else:
                self.deliver([(call, answer, None)])
        if self.watchers:
            self._poll()
        now = time.monotonic()
        if self._hurry or now - self._ticked >= TICK:
            self._ticked = now
            self._hurry = self._on_tick()

    def stop(self) -> None:
        if self._conn is not None:
            self._conn.close()
            self._conn = None

    def _read(self, call: object) -> object:
        conn = self._connected()
        conn.execute("BEGIN")
        try:
            return call.work(conn)  # type: ignore[attr-defined]
        finally:
            if conn.in_transaction:
                conn.execute("COMMIT")

    def _poll(self) -> None:
        try:
            (version,) = self._connected().execute("PRAGMA data_version").fetchone()
        except Exception:
            version = None  # whoever waits looks for itself, and gets the error there
        if version is None or version != self._data_version:
            self._data_version = version
            self.call_soon(self._on_changed)

    def _connected(self) -> sqlite3.Connection:
        if self.identity is not None:
            self.identity.check()
        if self._conn is None:
            self._conn = open_reader(self.path)
        return self._conn
