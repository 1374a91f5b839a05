"""Cancelling, finding, counting, pausing and purging."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from orcastra_core.backends.sqlite import moves
from orcastra_core.backends.sqlite.pushing import keep, push
from orcastra_core.backends.sqlite.rows import BLOCKED, DEAD, DELAYED, FINISHED, MOVED, READY
from orcastra_core.backends.sqlite.statements import sql
from orcastra_core.backends.sqlite.tx import Tx
from orcastra_core.model.counts import Counts
from orcastra_core.model.envelope import Envelope, Unreadable
from orcastra_core.model.errors import DeserializationError
from orcastra_core.model.ids import TaskId
from orcastra_core.model.names import QueueName, SessionId
from orcastra_core.model.queue import QueueDepth, QueueSpec
from orcastra_core.model.task_state import Cancellation, Cancelled, State, TaskState
from orcastra_core.serialization.envelope_codec import decode_envelope

_STATES = {
    READY: State.READY,
    DELAYED: State.DELAYED,
    BLOCKED: State.DELAYED,
    MOVED: State.DELAYED,
    DEAD: State.DEAD,
    FINISHED: State.FINISHED,
}


def declare(tx: Tx, specs: Sequence[QueueSpec]) -> None:
    """Make queues known."""
    for spec in specs:
        tx.conn.execute("UPDATE queue SET max_lost = ? WHERE num = ?", (spec.max_lost, tx.queue_number(spec.name)))


def set_paused(tx: Tx, names: Sequence[QueueName], paused: bool) -> None:
    """Pause queues, or resume them and wake whoever waits."""
    for name in names:
        tx.conn.execute("UPDATE queue SET paused = ? WHERE num = ?", (paused, tx.queue_number(name)))
        if not paused:
            tx.effects.all_waiters.add(name)


def cancel(tx: Tx, wish: Cancellation, encoded: bytes) -> Cancelled:
    """Cancel one task, of whose cancelled result the encoded form is given."""
    conn = tx.conn
    row = conn.execute(sql("whereabouts"), (wish.id,)).fetchone()
    if row is None:
        return Cancelled.UNKNOWN
    num, state, due, raw, session, receipt = row
    if state in (DEAD, FINISHED):
        return Cancelled.TOO_LATE
    if session is not None and conn.execute("SELECT 1 FROM session WHERE num = ?", (session,)).fetchone() is not None:
        conn.execute(sql("forget_old_wishes"))
        conn.execute(sql("wish"), (num,))  # stays until it is settled: the next holder is told too, should this one die
        tx.effects.cancels.add(session)
        return Cancelled.SIGNALLED
    if session is not None:
        conn.execute("DELETE FROM running WHERE session = ? AND receipt = ?", (session, receipt))
    else:
        moves.take_out(tx, num, state, due)
    try:
        reply = decode_envelope(raw).reply
    except DeserializationError:
        reply = None
    moves.finish(tx, num, *keep(tx.now, wish.result.ttl, encoded, pushed=reply is not None))
    if reply is not None:
        push(tx.effects, reply, wish.id, encoded)
    if wish.events:
        tx.append_events([wish.events])
    return Cancelled.REMOVED


def find(conn: sqlite3.Connection, task_id: TaskId) -> TaskState | None:
    """Say where a task is."""
    row = conn.execute(sql("find"), (task_id,)).fetchone()
    if row is None:
        return None
    state, due, attempt, lost, released, raw, queue, session = row
    if state == FINISHED:
        return TaskState(id=task_id, state=State.FINISHED)
    envelope: Envelope | Unreadable
    try:
        envelope = decode_envelope(raw)
    except DeserializationError as error:
        envelope = Unreadable(task_id, QueueName(queue), raw, str(error))
    return TaskState(
        id=task_id,
        state=State.RUNNING if session is not None else _STATES[state],
        envelope=envelope,
        counts=Counts(attempt, lost, released),
        due=due if state == DELAYED else None,
        session=None if session is None else SessionId(session),
    )


def inspect(conn: sqlite3.Connection, names: Sequence[QueueName] | None, now: float) -> list[QueueDepth]:
    """Count what is in queues: walks what waits and runs, and the dead letters; never what is finished."""
    known = {name: (num, bool(paused)) for name, num, paused in conn.execute("SELECT name, num, paused FROM queue")}
    ready = {num: (count, since) for num, count, since in conn.execute(sql("count_ready"))}
    delayed = dict(conn.execute(sql("count_delayed")).fetchall())
    running = dict(conn.execute(sql("count_running")).fetchall())
    dead = dict(conn.execute("SELECT queue, count(*) FROM dead GROUP BY queue").fetchall())
    depths: list[QueueDepth] = []
    for name in sorted(known) if names is None else names:
        if name not in known:
            depths.append(QueueDepth(queue=name))
            continue
        num, paused = known[name]
        count, since = ready.get(num, (0, None))
        depths.append(
            QueueDepth(
                queue=name,
                ready=count,
                delayed=delayed.get(num, 0),
                running=running.get(num, 0),
                dead=dead.get(num, 0),
                oldest=None if since is None else max(0.0, now - since),
                paused=paused,
            )
        )
    return depths


def purge(tx: Tx, name: QueueName, states: frozenset[State]) -> int:
    """Forget the tasks of a queue that are in one of ``states``."""
    conn, queue = tx.conn, tx.queue_number(name)
    waiting: list[tuple[int, int, float | None]] = []
    if State.READY in states:
        waiting += conn.execute(sql("all_ready"), (queue,)).fetchall()
    if State.DELAYED in states:
        waiting += conn.execute(sql("all_delayed"), (queue,)).fetchall()
    for num, state, due in waiting:  # first all of them, so that no key hands on to one that goes too
        moves.take_out(tx, num, state, due)
        conn.execute("UPDATE task SET state = ? WHERE num = ?", (FINISHED, num))
    for num, _, _ in waiting:
        moves.forget(tx, num)
    if State.DEAD not in states:
        return len(waiting)
    buried = conn.execute("SELECT num FROM dead WHERE queue = ?", (queue,)).fetchall()
    conn.execute("DELETE FROM dedup WHERE queue = ? AND id IN (SELECT id FROM dead WHERE queue = ?)", (queue, queue))
    conn.execute("DELETE FROM dead WHERE queue = ?", (queue,))
    conn.executemany("DELETE FROM task WHERE num = ?", buried)
    return len(waiting) + len(buried)


def plant(tx: Tx, unreadable: Unreadable) -> None:
    """Put bytes that are no envelope into a queue."""
    num = tx.take_numbers(1)
    tx.conn.execute(
        "INSERT INTO task (num, id, queue, envelope) VALUES (?, ?, ?, ?)",
        (num, unreadable.id, tx.queue_number(unreadable.queue), unreadable.raw),
    )
    moves.make_ready(tx, num)
