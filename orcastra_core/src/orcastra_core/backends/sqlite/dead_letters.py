"""The dead letters' edge."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from typing import Any

import attrs

from orcastra_core.backends.sqlite import moves
from orcastra_core.backends.sqlite.core import Core
from orcastra_core.backends.sqlite.publish import key_holder, take_key
from orcastra_core.backends.sqlite.rows import BLOCKED, DEAD, FINISHED
from orcastra_core.backends.sqlite.settings import LIMITS
from orcastra_core.backends.sqlite.statements import select_list, sql
from orcastra_core.backends.sqlite.tx import Tx
from orcastra_core.interfaces.dead_letters import DeadLetterStore
from orcastra_core.model.counts import FRESH, Counts
from orcastra_core.model.dead_letter import DeadLetter
from orcastra_core.model.envelope import Envelope, Unreadable
from orcastra_core.model.errors import DeserializationError
from orcastra_core.model.ids import TaskId
from orcastra_core.model.names import QueueName
from orcastra_core.model.published import STORED, Duplicate, Published, Refused
from orcastra_core.serialization.cbor_decode import decode
from orcastra_core.serialization.envelope_codec import decode_envelope, encode_envelope
from orcastra_core.serialization.result_codec import read_error


class SqliteDeadLetters(DeadLetterStore):
    """Dead letters: rows that say why, beside the tasks' own."""

    def __init__(self, core_of: Callable[[], Core]) -> None:
        self._core_of = core_of

    async def page(
        self, *, queue: QueueName | None = None, after: TaskId | None = None, limit: int = 100
    ) -> Sequence[DeadLetter]:
        text = (
            sql("dead_letters")
            + " WHERE dead.id > ?"
            + (" AND queue.name = ?" if queue is not None else "")
            + " ORDER BY dead.id LIMIT ?"
        )
        parameters = (after or "", *(() if queue is None else (queue,)), limit)

        def work(conn: sqlite3.Connection) -> list[DeadLetter]:
            return [_letter(row) for row in conn.execute(text, parameters)]

        return await self._core_of().read(work)

    async def get(self, ids: Sequence[TaskId], /) -> Sequence[DeadLetter | None]:
        wanted = list(dict.fromkeys(ids))

        def work(conn: sqlite3.Connection) -> dict[str, DeadLetter]:
            return {
                row[0]: _letter(row)
                for row in select_list(conn, sql("dead_letters") + " WHERE dead.id IN ({rows})", wanted)
            }

        found = await self._core_of().read(work)
        return [found.get(task_id) for task_id in ids]

    async def replay(self, ids: Sequence[TaskId], /, *, events: Sequence[bytes] = ()) -> Sequence[Published | None]:
        def work(tx: Tx) -> list[Published | None]:
            answers = [replay(tx, task_id) for task_id in ids]
            if events:
                tx.append_events(
                    [event for event, said in zip(events, answers, strict=True) if said is STORED and event]
                )
            return answers

        return await self._core_of().write(work, durable=True, weight=len(ids))

    async def purge(
        self,
        *,
        ids: Sequence[TaskId] | None = None,
        queue: QueueName | None = None,
        older_than: float = 0.0,
        limit: int = 1000,
    ) -> int:
        chosen = None if ids is None else list(dict.fromkeys(ids))
        return await self._core_of().write(
            lambda tx: purge(tx, chosen, queue, older_than, limit), durable=True, weight=limit
        )


def replay(tx: Tx, task_id: TaskId) -> Published | None:
    """Put a dead letter back into its queue, at the tail, counts at zero."""
    conn = tx.conn
    row = conn.execute("SELECT num, queue, envelope FROM task WHERE id = ? AND state = ?", (task_id, DEAD)).fetchone()
    if row is None:
        return None
    old, queue, raw = row
    try:
        envelope = decode_envelope(raw)
    except DeserializationError:
        return Refused("its bytes cannot be read")
    if envelope.dedup is not None:
        holder = key_holder(tx, queue, envelope.dedup.key)
        if holder is not None and holder != task_id:
            return Duplicate(TaskId(holder))
        take_key(tx, queue, task_id, envelope.dedup)
    conn.execute("DELETE FROM dead WHERE id = ?", (task_id,))
    # a new number: with counts back at zero, the old one would make old receipts valid again
    num = tx.take_numbers(1)
    blocked = False
    if envelope.order_by is not None:
        blocked = conn.execute(sql("head_of_line"), (queue, envelope.order_by)).fetchone() is not None
        conn.execute("INSERT INTO line (queue, key, num) VALUES (?, ?, ?)", (queue, envelope.order_by, num))
    conn.execute(
        sql("replay"),
        (
            num,
            BLOCKED,
            envelope.due,
            None if envelope.dedup is None else envelope.dedup.key,
            None if envelope.dedup is None else int(envelope.dedup.mode),
            envelope.order_by,
            old,
        ),
    )
    if envelope.counts != FRESH:  # as if published anew: what comes back from a scheduler later is no repeat
        anew = encode_envelope(attrs.evolve(envelope, counts=FRESH))
        conn.execute("UPDATE task SET envelope = ? WHERE num = ?", (anew, num))
    if not blocked:
        moves.let_go(tx, num, envelope.due)
    return STORED


def purge(tx: Tx, ids: Sequence[TaskId] | None, queue: QueueName | None, older_than: float, limit: int) -> int:
    """Forget dead letters; their ids are remembered a while, and their failed results until their time."""
    text, parameters = "SELECT dead.id, dead.num, dead.expires FROM dead WHERE at <= ?", [tx.now - older_than]
    if queue is not None:
        text += " AND queue = ?"
        parameters.append(tx.queue_number(queue))
    if ids is None:
        rows = tx.conn.execute(text + " LIMIT ?", (*parameters, limit)).fetchall()
    else:
        rows = select_list(tx.conn, text + " AND id IN ({rows})", ids, *parameters)[:limit]
    for task_id, num, expires in rows:
        tx.conn.execute("DELETE FROM dead WHERE id = ?", (task_id,))
        tx.conn.execute(
            "UPDATE task SET state = ?, envelope = NULL, gone = ? WHERE num = ?",
            (FINISHED, max(expires, tx.now + LIMITS.publish_window), num),
        )
    return len(rows)


def _letter(row: Sequence[Any]) -> DeadLetter:
    task_id, queue, raw, attempt, lost, released, reason, error, at = row
    envelope: Envelope | Unreadable
    try:
        envelope = decode_envelope(raw)
    except DeserializationError as problem:
        envelope = Unreadable(TaskId(task_id), QueueName(queue), raw, str(problem))
    return DeadLetter(
        id=TaskId(task_id),
        queue=QueueName(queue),
        envelope=envelope,
        counts=Counts(attempt, lost, released),
        reason=reason,
        error=read_error(decode(error)),
        at=at,
    )
