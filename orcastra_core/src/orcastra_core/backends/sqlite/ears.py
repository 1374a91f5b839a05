"""What a session is told: by its doorbell, and by looking now and then."""

from __future__ import annotations

import asyncio
import sqlite3

from orcastra_core.backends.sqlite.core import Core
from orcastra_core.backends.sqlite.doorbell import CANCEL, DUE, FENCED, READY, Doorbell
from orcastra_core.backends.sqlite.statements import sql
from orcastra_core.model.ids import TaskId
from orcastra_core.model.session import CancelTask, DueSoon, Fenced, Signal


class Ears:
    """A session's doorbell and what it was told. In the event loop.

    Attributes:
        ready: Set when a fetch should look, or end.
        signal: Set when ``signals`` should look, or end.
        rung: Whether it was told, not merely supposed, that a task is ready.
        fenced: Whether the session is known to be reaped.
        look_for_wishes: Whether there may be new wishes to cancel.
    """

    def __init__(self, core: Core, number: int) -> None:
        self.ready = asyncio.Event()
        self.signal = asyncio.Event()
        self.rung = False
        self.fenced = False
        self.look_for_wishes = True
        self._due_soon = False
        self._told: dict[TaskId, int] = {}
        self._core = core
        self._number = number
        try:
            self._bell: Doorbell | None = Doorbell(core.place, core.place.bell(number), core.loop, self._hear)
        except OSError:  # no room for sockets here: the polls do
            self._bell = None

    def wake_all(self) -> None:
        """Have the session's calls look around."""
        self.ready.set()
        self.signal.set()

    def note_fenced(self) -> None:
        """Take note that the session was reaped."""
        self.fenced = True
        self.wake_all()

    async def signals(self) -> list[Signal]:
        """Return what there is to tell, each thing once."""
        if self.fenced:
            return [Fenced()]
        signals: list[Signal] = []
        if self.look_for_wishes:
            self.look_for_wishes = False  # what comes in from here on is looked for the next time
            try:
                wishes = await self._core.read(self._wishes)
            except BaseException:
                self.look_for_wishes = True
                raise
            if wishes is None:
                self.note_fenced()
                return [Fenced()]
            signals = [CancelTask(task_id) for task_id, serial in wishes if self._told.get(task_id) != serial]
            self._told = dict(wishes)
        if self._due_soon:
            self._due_soon = False
            signals.append(DueSoon())
        return signals

    def close(self) -> None:
        """Hear nothing more. Idempotent."""
        if self._bell is not None:
            self._bell.close()

    def _wishes(self, conn: sqlite3.Connection) -> list[tuple[TaskId, int]] | None:
        """Return the wishes about what the session runs; None if it has no row."""
        if conn.execute("SELECT 1 FROM session WHERE num = ?", (self._number,)).fetchone() is None:
            return None
        return conn.execute(sql("wishes"), (self._number,)).fetchall()

    def _hear(self, message: bytes) -> None:
        if message == READY:
            self.rung = True
            self.ready.set()
        elif message == CANCEL:
            self.look_for_wishes = True
            self.signal.set()
        elif message == DUE:
            self._due_soon = True
            self.wake_all()  # a fetch, too, looks when the next task is due
        elif message == FENCED:
            self.look_for_wishes = True  # which finds out
            self.wake_all()
