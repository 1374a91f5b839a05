"""The thread that writes: all that wait go into one transaction."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import Callable
from typing import Any

from orcastra_core.backends.sqlite import schema
from orcastra_core.backends.sqlite.calls import Call, CallThread
from orcastra_core.backends.sqlite.connection import FileIdentity, open_writer
from orcastra_core.backends.sqlite.errors import OutcomeUnknown, is_full
from orcastra_core.backends.sqlite.lock_file import LockFile
from orcastra_core.backends.sqlite.settings import Settings
from orcastra_core.backends.sqlite.tx import Effects, QueueNumbers, Tx
from orcastra_core.interfaces.clock import Clock

MAX_WEIGHT = 4000
"""Rows of one transaction, about: what bounds how long other processes wait."""

PAUSE = 0.0001
"""Seconds a writer stays away from the lock after its turn, while others write too.

Who releases a lock and asks for it at once mostly gets it, because those it woke are still on their way.
"""
_OTHERS_REMEMBERED = 1.0

_Outcome = tuple[Call[Any], Any, BaseException | None]


class _Collapsed(Exception):  # noqa: N818
    """SQLite gave the whole transaction up."""


class Writer(CallThread):
    """Runs operations on the file, grouped into transactions.

    Each is protected by a savepoint, so that one that fails harms no other.
    Answers go out after the COMMIT that made them true.
    """

    def __init__(
        self,
        settings: Settings,
        lock_path: str,
        loop: asyncio.AbstractEventLoop,
        clock: Clock,
        on_committed: Callable[[Effects], None],
    ) -> None:
        super().__init__("writer", settings.path, loop)
        self.queues = QueueNumbers()
        self._settings = settings
        self._lock_path = lock_path
        self._clock = clock
        self._on_committed = on_committed
        self._conn: sqlite3.Connection | None = None
        self.identity: FileIdentity | None = None
        self._lock: LockFile | None = None
        self._synchronous = ""
        self._data_version = 0
        self._others_wrote = float("-inf")

    def serve(self) -> None:
        asked = time.monotonic()
        try:
            if self._lock is None:
                self._lock = LockFile(self._lock_path)
            self._lock.acquire()
        except OSError as error:
            self.deliver([(call, None, error) for call in self.take(MAX_WEIGHT)])
            return
        waited = time.monotonic() - asked
        effects: list[Effects] = []
        try:
            outcomes = self._serve_locked(waited, effects)
        finally:
            self._lock.release()
        self.deliver(outcomes)
        for effect in effects:
            self._on_committed(effect)
        if time.monotonic() - self._others_wrote < _OTHERS_REMEMBERED:
            time.sleep(PAUSE)

    def stop(self) -> None:
        if self._conn is not None:
            self._conn.close()
            self._conn = None
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def _serve_locked(self, waited: float, effects: list[Effects]) -> list[_Outcome]:
        # only now: what was cancelled while we stood in line is withdrawn, and what came in rides along
        calls = self.take(MAX_WEIGHT)
        if not calls:
            return []
        try:
            conn = self._connected()
        except Exception as error:
            return [(call, None, error) for call in calls]
        try:
            return self._transact(conn, calls, waited, effects)
        except _Collapsed as collapsed:
            assert collapsed.__cause__ is not None
            if len(calls) == 1:
                return [(calls[0], None, collapsed.__cause__)]
        # Somebody in the group was too much for the store: each on its own.
        outcomes: list[_Outcome] = []
        for call in calls:
            try:
                outcomes += self._transact(conn, [call], waited, effects)
            except _Collapsed as collapsed:
                outcomes.append((call, None, collapsed.__cause__))
        return outcomes

    def _connected(self) -> sqlite3.Connection:
        if self._conn is None:
            conn = open_writer(self.path)
            try:
                if not schema.is_current(conn, self.path, self._settings.domain):
                    conn.execute("BEGIN IMMEDIATE")
                    try:
                        schema.establish(conn, self.path, self._settings.domain)
                        conn.execute("COMMIT")
                    except BaseException:
                        if conn.in_transaction:
                            conn.execute("ROLLBACK")
                        raise
                self.identity = FileIdentity(self.path)
            except BaseException:
                conn.close()
                raise
            self._conn = conn
            self._synchronous = ""
        assert self.identity is not None
        self.identity.check()
        return self._conn

    def _transact(
        self, conn: sqlite3.Connection, calls: list[Call[Any]], waited: float, effects: list[Effects]
    ) -> list[_Outcome]:
        """Run calls in one transaction.

        Raises:
            _Collapsed: Nothing of it happened, because of the error that is its cause.
        """
        wanted = self._settings.synchronous if any(call.durable for call in calls) else "normal"
        try:
            if wanted != self._synchronous:
                conn.execute(f"PRAGMA synchronous = {wanted}")
                self._synchronous = wanted
            conn.execute("BEGIN IMMEDIATE")
            (version,) = conn.execute("PRAGMA data_version").fetchone()
            if version != self._data_version:
                self._data_version, self._others_wrote = version, time.monotonic()
            tx = Tx(conn, self._clock.now(), self.queues, self._settings.events_max, waited)
            outcomes = [self._operate(tx, call) for call in calls]
            tx.finish()
        except sqlite3.Error as error:
            _roll_back(conn)
            raise _Collapsed from error
        try:
            conn.execute("COMMIT")
        except sqlite3.Error as error:
            _roll_back(conn)
            if is_full(error):
                raise _Collapsed from error
            unknown = OutcomeUnknown()
            unknown.__cause__ = error
            return [(call, None, unknown) for call in calls]
        effects.append(tx.committed())
        return outcomes

    def _operate(self, tx: Tx, call: Call[Any]) -> _Outcome:
        conn = tx.conn
        conn.execute("SAVEPOINT operation")
        try:
            answer = call.work(tx)
        except Exception as error:
            if not conn.in_transaction:
                raise _reason(error) from error
            conn.execute("ROLLBACK TO operation")
            conn.execute("RELEASE operation")
            tx.undone()
            return call, None, error
        conn.execute("RELEASE operation")
        tx.succeeded()
        return call, answer, None


def _reason(error: Exception) -> sqlite3.Error:
    """Return what SQLite said as it gave the transaction up."""
    return error if isinstance(error, sqlite3.Error) else sqlite3.OperationalError(str(error))


def _roll_back(conn: sqlite3.Connection) -> None:
    try:
        if conn.in_transaction:
            conn.execute("ROLLBACK")
    except sqlite3.Error:
        pass  # the connection is useless then, and every later call says why
