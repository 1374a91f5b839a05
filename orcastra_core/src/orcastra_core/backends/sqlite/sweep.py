"""Who is dead: judged without a clock where the kernel knows, and patiently where it does not."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Sequence

import attrs

from orcastra_core.backends.sqlite import reap
from orcastra_core.backends.sqlite.place import Place
from orcastra_core.backends.sqlite.session_file import Life, now_ns, probe
from orcastra_core.backends.sqlite.tx import Tx
from orcastra_core.model.names import SessionId
from orcastra_core.model.session import Swept

_GAP = 1.0
"""Seconds without a sign of life of our own after which we judge nobody by what we saw before.

The reader's thread gives one every 0.2 s. It did not: then this process was stopped or starved, or the machine slept,
and others may have been, too.
"""


@attrs.frozen
class Suspect:
    """A session that seems to be dead.

    Attributes:
        number: The session's.
        lapsed: Silent for a lease though its process lives; else its process is proved dead.
        stamp: Its last beat.
    """

    number: int
    lapsed: bool
    stamp: bytes


class Watch:
    """What this process has seen of the others' beats, in unbroken contact.

    A session is lapsed once its last beat has stood still for a lease under our eyes. So nobody is
    judged in the first lease of a fresh broker, nor in the lease after a stall of our own.
    """

    def __init__(self, place: Place) -> None:
        self._place = place
        self._lock = threading.Lock()
        self._seen: dict[int, tuple[bytes, int]] = {}
        self._alive = now_ns()

    def sign_of_life(self) -> None:
        """Note that this process runs. Any thread, often."""
        with self._lock:
            now = now_ns()
            if now - self._alive > _GAP * 1e9:
                self._seen.clear()
            self._alive = now

    def broke_off(self) -> None:
        """Begin anew: we were kept from looking."""
        with self._lock:
            self._seen.clear()

    def suspects(self, conn: sqlite3.Connection) -> tuple[list[Suspect], bool]:
        """Look at every session; return those that seem dead, and whether there are orphans. Takes no lock that others need."""
        self.sign_of_life()
        found = [
            suspect
            for number, lease in conn.execute("SELECT num, lease FROM session")
            if (suspect := self.look(number, lease))
        ]
        (orphans,) = conn.execute("SELECT EXISTS (SELECT 1 FROM orphan)").fetchone()
        return found, bool(orphans)

    def look(self, number: int, lease: float) -> Suspect | None:
        """Return a suspect if the session seems dead."""
        seen = probe(self._place.session_path(number))
        if seen.life is not Life.HELD:
            return Suspect(number, False, b"")
        with self._lock:
            now = now_ns()
            stamp, since = self._seen.get(number, (b"", now))
            if stamp != seen.stamp:
                self._seen[number] = seen.stamp, now
                return None
            return Suspect(number, True, stamp) if now - since >= lease * 1e9 else None

    def forget(self, number: int) -> None:
        """Drop what was seen of a session that is gone."""
        with self._lock:
            self._seen.pop(number, None)


def sweep(tx: Tx, watch: Watch, suspects: Sequence[Suspect], limit: int) -> Swept:
    """Reap those who are still dead, now that we write, and hand orphans out again.

    A process that was stopped as it wrote kept everybody from writing, ourselves included:
    whoever waited that long for the lock has not been in contact.
    """
    if tx.waited > _GAP:
        watch.broke_off()
    reaped: list[SessionId] = []
    for suspect in suspects:
        row = tx.conn.execute("SELECT lease FROM session WHERE num = ?", (suspect.number,)).fetchone()
        if row is None:
            continue
        again = watch.look(suspect.number, row[0])
        if again is None or (again.lapsed and not suspect.lapsed):
            continue
        session_id = reap.reap(tx, suspect.number)
        if session_id is not None:
            reaped.append(session_id)
    lost = reap.rehome(tx, limit)
    (more,) = tx.conn.execute("SELECT EXISTS (SELECT 1 FROM orphan)").fetchone()
    return Swept(sessions=reaped, lost=lost, more=bool(more))


def expire(tx: Tx, session: SessionId) -> int:
    """Reap a session whose death is known."""
    row = tx.conn.execute("SELECT num FROM session WHERE id = ?", (session,)).fetchone()
    if row is None:
        return 0
    reap.reap(tx, row[0])
    return len(reap.rehome(tx, 1 << 62, only=row[0]))
