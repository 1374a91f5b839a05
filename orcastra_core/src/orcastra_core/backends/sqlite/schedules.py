"""Schedules in their table."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Any

import attrs

from orcastra_core.backends.sqlite.moves import next_due
from orcastra_core.backends.sqlite.statements import sql
from orcastra_core.backends.sqlite.tx import Tx
from orcastra_core.model.envelope import Envelope
from orcastra_core.model.ids import TaskId
from orcastra_core.model.schedule import Fired, Misfire, Schedule, ScheduleId
from orcastra_core.serialization.envelope_codec import decode_envelope

_COLUMNS = "id, due, envelope, trigger, misfire, grace, paused"


def add(tx: Tx, batch: Sequence[tuple[Schedule, bytes]]) -> None:
    """Store schedules with their encoded envelopes; an unchanged recurring one keeps its due and claim."""
    before = next_due(tx)
    for schedule, encoded in batch:
        row = tx.conn.execute(f"SELECT {_COLUMNS}, look FROM schedule WHERE id = ?", (schedule.id,)).fetchone()
        due = look = schedule.due
        if row is not None and schedule.trigger is not None:
            old = _schedule(row[:7])
            if old.trigger == schedule.trigger and _bare(old.envelope) == _bare(schedule.envelope):
                due, look = old.due, row[7]
        tx.conn.execute(
            sql("add_schedule"),
            (
                schedule.id,
                due,
                look,
                encoded,
                schedule.trigger,
                schedule.misfire.value,
                schedule.grace,
                schedule.paused,
            ),
        )
    _tell(tx, before)


def remove(tx: Tx, ids: Sequence[ScheduleId]) -> list[bool]:
    """Forget schedules."""
    return [tx.conn.execute("DELETE FROM schedule WHERE id = ?", (schedule_id,)).rowcount > 0 for schedule_id in ids]


def get(conn: sqlite3.Connection, ids: Sequence[ScheduleId]) -> list[Schedule | None]:
    """Return schedules."""
    rows = [
        conn.execute(f"SELECT {_COLUMNS} FROM schedule WHERE id = ?", (schedule_id,)).fetchone() for schedule_id in ids
    ]
    return [None if row is None else _schedule(row) for row in rows]


def page(conn: sqlite3.Connection, after: ScheduleId | None, limit: int) -> list[Schedule]:
    """Return schedules in order of their ids."""
    rows = conn.execute(
        f"SELECT {_COLUMNS} FROM schedule WHERE id > ? ORDER BY id LIMIT ?", (after or "", limit)
    ).fetchall()
    return [_schedule(row) for row in rows]


def claim(tx: Tx, limit: int, lease: float) -> list[Schedule]:
    """Take what is due and unclaimed, earliest first."""
    rows = tx.conn.execute(sql("due_schedules"), (tx.now, limit)).fetchall()
    tx.conn.executemany("UPDATE schedule SET look = ? WHERE id = ?", [(tx.now + lease, row[0]) for row in rows])
    return [_schedule(row) for row in rows]


def settle(tx: Tx, batch: Sequence[Fired]) -> list[bool]:
    """Move schedules on whose due is still the expected one."""
    before = next_due(tx)
    moved: list[bool] = []
    for fired in batch:
        if fired.next_due is None:
            done = tx.conn.execute("DELETE FROM schedule WHERE id = ? AND due = ?", (fired.id, fired.expected_due))
        else:
            done = tx.conn.execute(
                "UPDATE schedule SET due = ?1, look = ?1 WHERE id = ?2 AND due = ?3",
                (fired.next_due, fired.id, fired.expected_due),
            )
        moved.append(done.rowcount > 0)
    _tell(tx, before)
    return moved


def _tell(tx: Tx, before: float | None) -> None:
    after = next_due(tx)
    if after is not None and (before is None or after < before):
        tx.effects.due_soon = True


def _schedule(row: Sequence[Any]) -> Schedule:
    schedule_id, due, envelope, trigger, misfire, grace, paused = row
    return Schedule(
        ScheduleId(schedule_id), due, decode_envelope(envelope), trigger, Misfire(misfire), grace, bool(paused)
    )


def _bare(envelope: Envelope) -> Envelope:
    """Return the envelope without what differs each time a program makes it."""
    return attrs.evolve(envelope, id=TaskId(""), submitted_at=None, due=None, reply=None, parent=None)
