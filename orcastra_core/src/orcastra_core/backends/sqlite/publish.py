"""Publishing: from a client's batch, or from what a settlement emits."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from orcastra_core.backends.sqlite.moves import leave_line, next_due
from orcastra_core.backends.sqlite.rows import BLOCKED, DEAD, DELAYED, FINISHED, MOVED, READY
from orcastra_core.backends.sqlite.settings import LIMITS
from orcastra_core.backends.sqlite.statements import execute_rows, sql
from orcastra_core.backends.sqlite.tx import Tx
from orcastra_core.model.counts import FRESH
from orcastra_core.model.envelope import Dedup, DedupMode, Envelope
from orcastra_core.model.errors import BrokerError, DeserializationError, SerializationError
from orcastra_core.model.ids import TaskId
from orcastra_core.model.published import STORED, Duplicate, Published, Refused, Unknown
from orcastra_core.serialization.envelope_codec import decode_envelope, encode_envelope

_LOWEST, _HIGHEST = LIMITS.priorities


class Batch:
    """Envelopes made ready for the store, in the caller's thread.

    Attributes:
        envelopes: As they came.
        encoded: Their bytes, or why they are refused.
        rich: Positions of those that are more than id, queue, priority and bytes.
    """

    __slots__ = ("encoded", "envelopes", "keyed", "rich")

    def __init__(self, envelopes: Sequence[Envelope]) -> None:
        self.envelopes = list(envelopes)
        self.encoded: list[bytes | Refused] = []
        self.rich = False
        self.keyed = False
        max_body = LIMITS.max_body
        append = self.encoded.append
        for envelope in self.envelopes:
            if envelope.dedup is not None or envelope.order_by is not None:
                self.keyed = True
            elif envelope.due is not None or envelope.counts is not FRESH:
                self.rich = True
            if len(envelope.body) > max_body:
                append(Refused(f"the body has {len(envelope.body)} bytes; at most {max_body} are taken"))
            elif not _LOWEST <= envelope.priority <= _HIGHEST:
                append(Refused(f"priority {envelope.priority} is not in {_LOWEST} to {_HIGHEST}"))
            else:
                try:
                    append(encode_envelope(envelope))
                except SerializationError as error:
                    append(Refused(str(error)))


def publish(tx: Tx, batch: Batch, events: Sequence[bytes] = ()) -> list[Published]:
    """Store envelopes, each on its own, and the events of those that are."""
    if batch.keyed:
        answers = _publish_one_by_one(tx, batch)
    else:
        answers = _publish_together(tx, batch)
    if events:
        tx.append_events([event for event, said in zip(events, answers, strict=True) if said is STORED and event])
    return answers


def _publish_together(tx: Tx, batch: Batch) -> list[Published]:
    envelopes, now = batch.envelopes, tx.now
    answers: list[Published] = [STORED] * len(envelopes)
    first = tx.take_numbers(len(envelopes))
    rows: list[tuple[Any, ...]] = []
    soonest: float | None = None
    before = next_due(tx) if batch.rich else None
    name, number = None, 0
    for index, (envelope, encoded) in enumerate(zip(envelopes, batch.encoded, strict=True)):
        if type(encoded) is not bytes:
            answers[index] = encoded  # type: ignore[assignment]
            continue
        if envelope.queue != name:
            name = envelope.queue
            number = tx.queue_number(name)
        if not batch.rich:
            rows.append((first + index, envelope.id, number, -envelope.priority, encoded))
            continue
        due, counts = envelope.due, envelope.counts
        if due is not None:
            if not due - now <= LIMITS.max_delay:
                answers[index] = _too_far()
                continue
            if due > now:
                soonest = due if soonest is None else min(soonest, due)
            else:
                due = None
        state = 0 if due is None else DELAYED
        rows.append(
            (
                first + index,
                envelope.id,
                number,
                -envelope.priority,
                state,
                counts.attempt,
                counts.lost,
                counts.released,
                due,
                encoded,
            )
        )
    if not rows:
        return answers
    stored = execute_rows(tx.conn, sql("publish_rich") if batch.rich else sql("publish"), rows)
    last = first + len(envelopes) - 1
    if stored < len(rows):
        found = {num for (num,) in tx.conn.execute("SELECT num FROM task WHERE num BETWEEN ? AND ?", (first, last))}
        for row in rows:
            if row[0] not in found:
                answers[row[0] - first] = _publish_one(tx, envelopes[row[0] - first], row[-1])
    tx.conn.execute(sql("publish_ready"), (tx.now, first, last))
    if soonest is not None:
        tx.conn.execute(
            "INSERT INTO delayed SELECT due, num FROM task WHERE num BETWEEN ? AND ? AND state = 1", (first, last)
        )
        if before is None or soonest < before:
            tx.effects.due_soon = True
    _count_ready(tx, batch, answers)
    return answers


def _publish_one_by_one(tx: Tx, batch: Batch) -> list[Published]:
    before = next_due(tx)
    answers = [
        _publish_one(tx, envelope, encoded) for envelope, encoded in zip(batch.envelopes, batch.encoded, strict=True)
    ]
    after = next_due(tx)
    if after is not None and (before is None or after < before):
        tx.effects.due_soon = True
    _count_ready(tx, batch, answers)
    return answers


def _publish_one(tx: Tx, envelope: Envelope, encoded: bytes | Refused) -> Published:
    if isinstance(encoded, Refused):
        return encoded
    conn, dedup, due = tx.conn, envelope.dedup, envelope.due
    if due is not None and not due - tx.now <= LIMITS.max_delay:
        return _too_far()
    if dedup is not None and dedup.mode is DedupMode.WINDOW and not (dedup.window or 0.0) > 0.0:
        return Refused("a dedup key for a window of time needs its window in seconds")
    queue = tx.queue_number(envelope.queue)
    row = conn.execute("SELECT num, state, envelope, queue, okey FROM task WHERE id = ?", (envelope.id,)).fetchone()
    if row is not None:
        known = _known(envelope, row[1], row[2])
        if known is not None:
            return known
        if dedup is not None and dedup.mode is not DedupMode.ALIVE:
            # a key that ends by start or by time may be another's by now; as its Duplicate this task would be lost
            dedup = None
    holder = None if dedup is None else key_holder(tx, queue, dedup.key)
    if holder is not None and holder != envelope.id:
        return Duplicate(TaskId(holder))
    in_line = row is not None and row[4] is not None and (row[3], row[4]) == (queue, envelope.order_by)
    if row is not None:
        if row[4] is not None and not in_line:
            leave_line(tx, row[3], row[4], row[0])
        conn.execute("DELETE FROM task WHERE num = ?", (row[0],))
    # what comes back keeps its place at the head of its ordering key's line, and the place is its number
    num = row[0] if in_line else tx.take_numbers(1)
    state = READY
    if due is not None and due > tx.now:
        state = DELAYED
    else:
        due = None
    if (
        envelope.order_by is not None
        and not in_line
        and conn.execute(sql("head_of_line"), (queue, envelope.order_by)).fetchone() is not None
    ):
        state = BLOCKED
    counts = envelope.counts
    conn.execute(
        sql("publish_keyed"),
        (
            num,
            envelope.id,
            queue,
            -envelope.priority,
            state,
            counts.attempt,
            counts.lost,
            counts.released,
            due,
            None if dedup is None else dedup.key,
            None if dedup is None else int(dedup.mode),
            envelope.order_by,
            encoded,
        ),
    )
    if dedup is not None and holder is None:
        take_key(tx, queue, envelope.id, dedup)
    if envelope.order_by is not None and not in_line:
        conn.execute("INSERT INTO line (queue, key, num) VALUES (?, ?, ?)", (queue, envelope.order_by, num))
    if state == READY:
        conn.execute(sql("publish_ready"), (tx.now, num, num))
    elif state == DELAYED:
        conn.execute("INSERT INTO delayed (due, num) VALUES (?, ?)", (due, num))
    return STORED


def _known(envelope: Envelope, state: int, stored: bytes) -> Published | None:
    """Answer for an id that is in the table; None if it is to be stored in place of what was moved away.

    Between two hand-overs by way of a Scheduler either count grows, so an earlier one is told from a later.
    """
    if state in (DEAD, FINISHED):
        return Duplicate(envelope.id)  # it has ended: whatever this is, it is late
    try:
        before = decode_envelope(stored).counts
    except DeserializationError:
        return Duplicate(envelope.id)
    counts = envelope.counts
    if counts == before or counts.attempt + counts.released < before.attempt + before.released:
        return Duplicate(envelope.id)
    if state == MOVED:
        return None
    # faster than the settlement that says so
    return Unknown(
        BrokerError(f"{envelope.id} is still here with other counts; is its Moved on the way?", retryable=True)
    )


def key_holder(tx: Tx, queue: int, key: str) -> str | None:
    """Return the id of the task that holds a dedup key now."""
    row = tx.conn.execute(
        "SELECT id FROM dedup WHERE queue = ? AND key = ? AND (until IS NULL OR until > ?)", (queue, key, tx.now)
    ).fetchone()
    return None if row is None else str(row[0])


def take_key(tx: Tx, queue: int, task_id: str, dedup: Dedup) -> None:
    """Have a task hold a dedup key."""
    until = tx.now + (dedup.window or 0.0) if dedup.mode is DedupMode.WINDOW else None
    tx.conn.execute(
        "INSERT OR REPLACE INTO dedup (queue, key, id, until) VALUES (?, ?, ?, ?)", (queue, dedup.key, task_id, until)
    )


def _count_ready(tx: Tx, batch: Batch, answers: list[Published]) -> None:
    tx.effects.ready.update(
        [envelope.queue for envelope, answer in zip(batch.envelopes, answers, strict=True) if answer is STORED]
    )


def _too_far() -> Refused:
    return Refused(f"due is more than {LIMITS.max_delay:g} s away")
