"""Forgetting what is past its time."""

from __future__ import annotations

import sqlite3

from orcastra_core.backends.sqlite.moves import free_keys
from orcastra_core.backends.sqlite.rows import DEAD, MOVED
from orcastra_core.backends.sqlite.settings import LIMITS
from orcastra_core.backends.sqlite.statements import execute_list, sql
from orcastra_core.backends.sqlite.tx import Tx

_VACUUMED_AT_ONCE = 2000
_SPARE_PAGES = 2000
_WINDOWS_AT_ONCE = 2000


def anything_gone(conn: sqlite3.Connection, now: float) -> bool:
    """Whether a result, an id or a dead letter is past its time."""
    return conn.execute("SELECT 1 FROM task WHERE gone <= ? LIMIT 1", (now,)).fetchone() is not None


def prune(tx: Tx, limit: int) -> int:
    """Drop results past their TTL, ids past their window and dead letters past their time; return how many results went.

    Looks at most at ``limit`` tasks.
    """
    conn = tx.conn
    rows = conn.execute(
        "SELECT num, state, result IS NOT NULL FROM task WHERE gone <= ? ORDER BY gone LIMIT ?", (tx.now, limit)
    ).fetchall()
    results = [num for num, state, has_result in rows if has_result and state != DEAD]
    forgotten = [num for num, state, has_result in rows if not has_result or state == DEAD]
    execute_list(conn, sql("drop_results"), results, tx.now + LIMITS.publish_window)
    for num in [num for num, state, _ in rows if state == MOVED]:
        free_keys(tx, num)
    dead = [num for num, state, _ in rows if state == DEAD]
    execute_list(conn, "DELETE FROM dead WHERE id IN (SELECT id FROM task WHERE num IN ({rows}))", dead)
    execute_list(conn, "DELETE FROM task WHERE num IN ({rows})", forgotten)
    return len(results)


def anything_untidy(conn: sqlite3.Connection, now: float) -> bool:
    """Whether ``tidy`` has something to do."""
    if conn.execute("SELECT 1 FROM dedup WHERE until <= ? LIMIT 1", (now,)).fetchone() is not None:
        return True
    (spare,) = conn.execute("PRAGMA freelist_count").fetchone()
    (pages,) = conn.execute("PRAGMA page_count").fetchone()
    return bool(spare > _SPARE_PAGES and spare * 4 > pages)


def tidy(tx: Tx) -> None:
    """Drop ended dedup windows, and give pages that are no longer needed back to the file system."""
    conn = tx.conn
    conn.execute(
        "DELETE FROM dedup WHERE (queue, key) IN (SELECT queue, key FROM dedup WHERE until <= ? LIMIT ?)",
        (tx.now, _WINDOWS_AT_ONCE),
    )
    (spare,) = conn.execute("PRAGMA freelist_count").fetchone()
    (pages,) = conn.execute("PRAGMA page_count").fetchone()
    if spare > _SPARE_PAGES and spare * 4 > pages:
        conn.execute(f"PRAGMA incremental_vacuum({_VACUUMED_AT_ONCE})").fetchall()
