"""The elementary moves of one task, each within a transaction."""

from __future__ import annotations

from orcastra_core.backends.sqlite.rows import BLOCKED, DELAYED, FINISHED, MODE_WINDOW, MOVED, READY
from orcastra_core.backends.sqlite.settings import LIMITS
from orcastra_core.backends.sqlite.statements import sql
from orcastra_core.backends.sqlite.tx import Tx


def next_due(tx: Tx) -> float | None:
    """Return the moment when the next delayed task, or schedule, is due."""
    (due,) = tx.conn.execute(sql("next_due")).fetchone()
    return None if due is None else float(due)


def make_ready(tx: Tx, num: int, *, pos: int | None = None, keep_pos: bool = True) -> None:
    """Let a task be handed out: at its place, or at place ``pos``."""
    conn = tx.conn
    if keep_pos:
        conn.execute("UPDATE task SET state = 0, due = NULL WHERE num = ?", (num,))
    else:
        conn.execute("UPDATE task SET state = 0, due = NULL, pos = ? WHERE num = ?", (pos, num))
    conn.execute(sql("make_ready"), (tx.now, num))
    (queue,) = conn.execute("SELECT queue FROM task WHERE num = ?", (num,)).fetchone()
    tx.effects.ready[tx.queue_name(queue)] += 1


def make_delayed(tx: Tx, num: int, due: float) -> None:
    """Keep a task until ``due``."""
    before = None if tx.effects.due_soon else next_due(tx)
    tx.conn.execute("UPDATE task SET state = ?, due = ? WHERE num = ?", (DELAYED, due, num))
    tx.conn.execute("INSERT INTO delayed (due, num) VALUES (?, ?)", (due, num))
    if before is None or due < before:
        tx.effects.due_soon = True


def take_out(tx: Tx, num: int, state: int, due: float | None) -> None:
    """Take a waiting task out of where it waits; its row stays."""
    if state == READY:
        tx.conn.execute(sql("take_out_ready"), (num,))
    elif state == DELAYED:
        tx.conn.execute("DELETE FROM delayed WHERE due = ? AND num = ?", (due, num))


def free_keys(tx: Tx, num: int, *, forget: bool = False) -> None:
    """Free what a task's keys kept back: it ended for good, or goes away.

    Args:
        tx: The transaction.
        num: The task.
        forget: Free even a dedup key that is held for a window of time.
    """
    task_id, queue, dedup, mode, okey = tx.conn.execute(
        "SELECT id, queue, dedup, dedup_mode, okey FROM task WHERE num = ?", (num,)
    ).fetchone()
    if dedup is not None and (forget or mode != MODE_WINDOW):
        tx.conn.execute("DELETE FROM dedup WHERE queue = ? AND key = ? AND id = ?", (queue, dedup, task_id))
    if okey is not None:
        leave_line(tx, queue, okey, num)


def leave_line(tx: Tx, queue: int, okey: str, num: int) -> None:
    """Take a task out of the line of its ordering key, and let the next one go."""
    conn = tx.conn
    conn.execute("DELETE FROM line WHERE queue = ? AND key = ? AND num = ?", (queue, okey, num))
    following = conn.execute(sql("head_of_line"), (queue, okey)).fetchone()
    if following is not None and following[1] == BLOCKED:
        let_go(tx, following[0], following[2])


def let_go(tx: Tx, num: int, due: float | None) -> None:
    """Let a task wait for its moment, or for nothing any more."""
    if due is not None and due > tx.now:
        make_delayed(tx, num, due)
    else:
        make_ready(tx, num)


def forget(tx: Tx, num: int) -> None:
    """Delete a task that waits nowhere any more, keys and all."""
    free_keys(tx, num, forget=True)
    tx.conn.execute("DELETE FROM task WHERE num = ?", (num,))


def move_away(tx: Tx, num: int) -> None:
    """Keep of a running task, which is durable elsewhere now, what waits for its return: its keys above all."""
    tx.conn.execute(
        "UPDATE task SET state = ?, gone = ? WHERE num = ?",
        (MOVED, tx.now + LIMITS.max_delay + LIMITS.publish_window, num),
    )


def finish(tx: Tx, num: int, result: bytes | None, gone: float) -> None:
    """End a task for good: keep its id, and its result until ``gone``."""
    free_keys(tx, num)
    # under a new number: see finish_large.sql
    tx.conn.execute(
        "UPDATE task SET num = ?, state = ?, envelope = NULL, dedup = NULL, okey = NULL, due = NULL, result = ?, gone = ? WHERE num = ?",
        (tx.take_numbers(1), FINISHED, result, gone, num),
    )


def promote_due(tx: Tx, limit: int) -> int:
    """Make delayed tasks ready whose moment has come, in the order of their moments; return how many."""
    conn = tx.conn
    found = conn.execute(sql("due"), (tx.now, limit)).fetchall()
    if not found:
        return 0
    pos = tx.take_numbers(len(found))
    conn.executemany(
        "UPDATE task SET state = 0, due = NULL, pos = ? WHERE num = ?",
        [(pos + i, num) for i, (_, num, _) in enumerate(found)],
    )
    conn.executemany(sql("make_ready"), [(tx.now, num) for _, num, _ in found])
    last_due, last_num, _ = found[-1]
    conn.execute("DELETE FROM delayed WHERE (due, num) <= (?, ?)", (last_due, last_num))
    for _, _, queue in found:
        tx.effects.ready[tx.queue_name(queue)] += 1
    return len(found)
