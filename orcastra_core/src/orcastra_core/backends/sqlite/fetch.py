"""Handing out."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Collection, Sequence
from typing import Any

import attrs

from orcastra_core.backends.sqlite.moves import promote_due
from orcastra_core.backends.sqlite.rows import num_of
from orcastra_core.backends.sqlite.statements import execute_list, sql
from orcastra_core.backends.sqlite.tx import Tx
from orcastra_core.model.counts import FRESH, Counts
from orcastra_core.model.delivery import Delivery, Want
from orcastra_core.model.envelope import Envelope, Unreadable
from orcastra_core.model.errors import DeserializationError, SessionFenced
from orcastra_core.model.ids import TaskId
from orcastra_core.model.names import QueueName
from orcastra_core.serialization.envelope_codec import decode_envelope

_PROMOTED_AT_ONCE = 1000


@attrs.frozen
class Handout:
    """What a fetch took over, still packed.

    Attributes:
        parts: For each queue: its name, the records, and all envelopes in one piece. A record is
            [receipt, level, pos, attempt, lost, released, dedup mode or -1, size of the envelope, id].
        suspects: Whether one of them was held by a session that died: a wish to cancel may be about it.
        more: Whether the session holds still more that its caller never saw.
    """

    parts: Sequence[tuple[QueueName, list[list[Any]], bytes]] = ()
    suspects: bool = False
    more: bool = False


def take(tx: Tx, session: int, want: Want) -> Handout:
    """Take over what ``want`` asks for.

    Raises:
        SessionFenced: The session has no row.
    """
    check_alive(tx.conn, session)
    if tx.conn.execute("SELECT 1 FROM delayed WHERE due <= ? LIMIT 1", (tx.now,)).fetchone() is not None:
        promote_due(tx, _PROMOTED_AT_ONCE)
    room, parts, suspects = want.limit, [], False
    for name, most in want.queues:
        if room <= 0:
            break
        number = tx.queue_number(name)
        records, packed = _claim(tx, session, number, min(most, room))
        if records:
            parts.append((name, records, packed))
            room -= len(records)
            suspects = suspects or any(record[4] for record in records)
    # What this transaction made ready and then took wakes nobody.
    for name, records, _ in parts:
        if tx.effects.ready.get(name):
            tx.effects.ready[name] -= len(records)
            if tx.effects.ready[name] <= 0:
                del tx.effects.ready[name]
    return Handout(parts, suspects)


def _claim(tx: Tx, session: int, queue: int, most: int) -> tuple[list[list[Any]], bytes]:
    if most <= 0:
        return [], b""
    conn = tx.conn
    text, packed = conn.execute(sql("claim"), (queue, most)).fetchone()
    if text is None:
        return [], b""
    records: list[list[Any]] = json.loads(text)
    conn.execute(sql("hold"), (session, queue, most))
    level, pos = max((record[1], record[2]) for record in records)
    conn.execute("DELETE FROM ready WHERE queue = ? AND (level, pos) <= (?, ?)", (queue, level, pos))
    started = [num_of(record[0]) for record in records if record[6] == 1]
    if started:
        execute_list(conn, sql("started"), started)
    return records, packed or b""


def unseen(conn: sqlite3.Connection, session: int, seen: Collection[object], want: Want) -> Handout | None:
    """Return what the session holds and its caller never saw, within ``want``; None if there is nothing of the kind.

    Raises:
        SessionFenced: The session has no row.
    """
    check_alive(conn, session)
    rows = conn.execute(sql("held_records"), (session,)).fetchall()
    rows = [row for row in rows if row[1] not in seen]
    if not rows:
        return None
    room, bounds = want.limit, dict(want.queues)
    parts: list[tuple[QueueName, list[list[Any]], bytes]] = []
    for name, *record, envelope in rows:
        if room <= 0:
            break
        if bounds.get(name, 0) > 0:
            bounds[name] -= 1
            room -= 1
            parts.append((name, [record], envelope))
    return Handout(parts, True, len(parts) < len(rows))


def unpack(handout: Handout) -> list[Delivery]:
    """Return the deliveries."""
    deliveries: list[Delivery] = []
    append = deliveries.append
    for name, records, packed in handout.parts:
        at = 0
        for receipt, _, _, attempt, lost, released, _, size, task_id in records:
            raw = packed[at : at + size]
            at += size
            counts = FRESH if attempt == lost == released == 0 else Counts(attempt, lost, released)
            append(Delivery(_envelope(raw, task_id, name), receipt, counts))
    return deliveries


def _envelope(raw: bytes, task_id: str, queue: QueueName) -> Envelope | Unreadable:
    try:
        return decode_envelope(raw)
    except DeserializationError as error:
        return Unreadable(TaskId(task_id), queue, raw, str(error))


def check_alive(conn: sqlite3.Connection, session: int) -> None:
    """Raise SessionFenced if the session has no row."""
    if conn.execute("SELECT 1 FROM session WHERE num = ?", (session,)).fetchone() is None:
        raise SessionFenced("the session was reaped; open a new one")
