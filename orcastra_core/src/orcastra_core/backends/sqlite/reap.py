"""What begins and ends sessions in the store, and hands their deliveries out again."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

from orcastra_core.backends.sqlite.place import Place
from orcastra_core.backends.sqlite.session_file import SessionFile
from orcastra_core.backends.sqlite.statements import execute_list, sql
from orcastra_core.backends.sqlite.tx import Tx
from orcastra_core.model.counts import Counts
from orcastra_core.model.ids import TaskId
from orcastra_core.model.names import QueueName, SessionId
from orcastra_core.model.session import Lost
from orcastra_core.serialization import event_codec

Begun: TypeAlias = tuple[int, SessionId, SessionFile]
"""A session that was begun: its number, its id and its file."""


def begin(tx: Tx, place: Place, queues: Sequence[QueueName], lease: float, suffix: str) -> Begun:
    """Make a session: first its file, locked, so that no sweep can find it dead, then its row."""
    number = tx.take_session()
    session_id = SessionId(f"{number}-{suffix}")
    file = SessionFile(place.session_path(number), lease, queues)
    try:
        tx.conn.execute("INSERT INTO session (num, id, lease) VALUES (?, ?, ?)", (number, session_id, lease))
        for name in queues:
            tx.queue_number(name)
    except BaseException:
        file.close(remove=True)
        raise
    return number, session_id, file


def discard(tx: Tx, begun: list[Begun]) -> None:
    """End sessions whose openers went away before they knew."""
    for number, _, file in begun:
        end(tx, number)
        file.close(remove=True)


def end(tx: Tx, number: int) -> SessionId | None:
    """Remove a session's record: from here on nothing is heard from it. None if there is none."""
    conn = tx.conn
    row = conn.execute("SELECT id FROM session WHERE num = ?", (number,)).fetchone()
    if row is None:
        return None
    conn.execute("DELETE FROM session WHERE num = ?", (number,))
    conn.execute("DELETE FROM settled WHERE session = ?", (number,))
    return SessionId(row[0])


def reap(tx: Tx, number: int) -> SessionId | None:
    """End a session that is dead; its deliveries become orphans. None if it was gone already."""
    session_id = end(tx, number)
    if session_id is not None:
        tx.conn.execute("INSERT OR REPLACE INTO orphan (session, id) VALUES (?, ?)", (number, session_id))
        tx.effects.fenced.add(number)
    return session_id


def rehome(tx: Tx, limit: int, *, only: int | None = None) -> list[Lost]:
    """Hand orphans out again, ``lost`` + 1, each at its old place; at most ``limit`` of them."""
    conn = tx.conn
    chosen = "SELECT session, id FROM orphan" + (" WHERE session = ?" if only is not None else " ORDER BY session")
    lost: list[Lost] = []
    for number, session_id in conn.execute(chosen, () if only is None else (only,)).fetchall():
        rows = conn.execute(sql("held_tasks"), (number, limit - len(lost) + 1)).fetchall()
        complete = len(rows) <= limit - len(lost)
        if not complete:
            rows.pop()
        for _, _, task_id, queue, attempt, times, released in rows:
            name = tx.queue_name(queue)
            tx.effects.ready[name] += 1
            lost.append(Lost(TaskId(task_id), name, Counts(attempt, times + 1, released), SessionId(session_id)))
        nums = [row[1] for row in rows]
        execute_list(conn, "UPDATE task SET lost = lost + 1 WHERE num IN ({rows})", nums)
        execute_list(conn, sql("ready_again"), nums, tx.now)
        execute_list(conn, sql("let_go"), [row[0] for row in rows], number)
        if not complete:
            break
        conn.execute("DELETE FROM orphan WHERE session = ?", (number,))
    tx.append_events([event_codec.lost(one, tx.now) for one in lost])
    return lost


def release_all(tx: Tx, number: int) -> None:
    """Hand back all that a session holds, ``released`` + 1, and end it."""
    if end(tx, number) is None:
        return
    conn = tx.conn
    rows = conn.execute(sql("held_tasks"), (number, -1)).fetchall()
    nums = [row[1] for row in rows]
    execute_list(conn, "UPDATE task SET released = released + 1, lost = 0 WHERE num IN ({rows})", nums)
    execute_list(conn, sql("ready_again"), nums, tx.now)
    execute_list(conn, "DELETE FROM wish WHERE num IN ({rows})", nums)
    conn.execute("DELETE FROM running WHERE session = ?", (number,))
    for row in rows:
        tx.effects.ready[tx.queue_name(row[3])] += 1
