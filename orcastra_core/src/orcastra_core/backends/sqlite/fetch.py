"""Handing out."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Collection, Mapping, Sequence

import attrs

from orcastra_core.backends.sqlite.moves import promote_due
from orcastra_core.backends.sqlite.rows import MODE_UNTIL_START, num_of
from orcastra_core.backends.sqlite.statements import execute_list, sql
from orcastra_core.backends.sqlite.tx import Tx
from orcastra_core.model.counts import FRESH, Counts
from orcastra_core.model.delivery import Delivery, Want
from orcastra_core.model.envelope import Envelope, Unreadable
from orcastra_core.model.errors import DeserializationError, SessionFenced
from orcastra_core.model.ids import TaskId
from orcastra_core.model.names import QueueName
from orcastra_core.serialization.envelope_codec import decode_envelope

NAMELESS = TaskId("")
_PROMOTED_AT_ONCE = 1000


@attrs.frozen
class Part:
    """What a fetch took over from one queue, still packed.

    Attributes:
        queue: Its name.
        pairs: Receipt and size of each envelope, one after the other.
        counts: By receipt, where they are not all zero.
        packed: All envelopes in one piece.
    """

    queue: QueueName
    pairs: Sequence[int]
    counts: Mapping[int, Counts]
    packed: bytes


@attrs.frozen
class Handout:
    """What a fetch took over.

    Attributes:
        parts: For each queue.
        more: Whether the session holds still more that its caller never saw.
    """

    parts: Sequence[Part] = ()
    more: bool = False

    @property
    def suspects(self) -> bool:
        """Whether one of them was held by a session that died: a wish to cancel may be about it."""
        return any(counts.lost for part in self.parts for counts in part.counts.values())


def take(tx: Tx, session: int, want: Want) -> Handout:
    """Take over what ``want`` asks for.

    Raises:
        SessionFenced: The session has no row.
    """
    check_alive(tx.conn, session)
    if tx.conn.execute("SELECT 1 FROM delayed WHERE due <= ? LIMIT 1", (tx.now,)).fetchone() is not None:
        promote_due(tx, _PROMOTED_AT_ONCE)
    room, parts = want.limit, []
    for name, most in want.queues:
        if room <= 0:
            break
        part = _claim(tx, session, name, min(most, room))
        if part is not None:
            taken = len(part.pairs) // 2
            parts.append(part)
            room -= taken
            if tx.effects.ready.get(name):  # what became ready just now and was taken at once wakes nobody
                tx.effects.ready[name] -= taken
    tx.effects.ready = +tx.effects.ready
    return Handout(parts)


def _claim(tx: Tx, session: int, name: QueueName, most: int) -> Part | None:
    if most <= 0:
        return None
    conn, queue = tx.conn, tx.queue_number(name)
    text, specials, packed = conn.execute(sql("claim"), (queue, most)).fetchone()
    if text is None:
        return None
    pairs = json.loads(text)
    number = len(pairs) // 2
    conn.execute(sql("hold"), (session, queue, number))
    last = conn.execute(
        "SELECT level, pos FROM ready WHERE queue = ? ORDER BY level, pos LIMIT 1 OFFSET ?", (queue, number - 1)
    ).fetchone()
    conn.execute("DELETE FROM ready WHERE queue = ? AND (level, pos) <= (?, ?)", (queue, *last))
    counts: dict[int, Counts] = {}
    started: list[int] = []
    for receipt, attempt, lost, released, mode in json.loads(specials) if specials is not None else ():
        counts[receipt] = Counts(attempt, lost, released)
        if mode == MODE_UNTIL_START:
            started.append(num_of(receipt))
    execute_list(conn, sql("started"), started)
    return Part(name, pairs, counts, packed or b"")


def unseen(conn: sqlite3.Connection, session: int, seen: Collection[object], want: Want) -> Handout | None:
    """Return what the session holds and its caller never saw, within ``want``; None if there is nothing of the kind.

    Raises:
        SessionFenced: The session has no row.
    """
    check_alive(conn, session)
    rows = [row for row in conn.execute(sql("held_records"), (session,)).fetchall() if row[1] not in seen]
    if not rows:
        return None
    room, bounds = want.limit, dict(want.queues)
    parts: list[Part] = []
    for name, receipt, attempt, lost, released, envelope in rows:
        if room > 0 and bounds.get(name, 0) > 0:
            bounds[name] -= 1
            room -= 1
            parts.append(Part(name, (receipt, len(envelope)), {receipt: Counts(attempt, lost, released)}, envelope))
    return Handout(parts, len(parts) < len(rows))


def unpack(handout: Handout) -> list[Delivery]:
    """Return the deliveries."""
    deliveries: list[Delivery] = []
    append = deliveries.append
    for part in handout.parts:
        packed, counts, at = part.packed, part.counts, 0
        pairs = iter(part.pairs)
        for receipt, size in zip(pairs, pairs, strict=True):
            end = at + size
            try:
                envelope: Envelope | Unreadable = decode_envelope(packed[at:end])
            except DeserializationError as error:
                envelope = Unreadable(NAMELESS, part.queue, packed[at:end], str(error))
            at = end
            append(Delivery(envelope, receipt, counts.get(receipt, FRESH) if counts else FRESH))
    return deliveries


def nameless(deliveries: Sequence[Delivery]) -> list[int]:
    """Return the positions of deliveries whose bytes could not be read: their ids are in the store only."""
    return [at for at, one in enumerate(deliveries) if type(one.envelope) is Unreadable]


def name_them(conn: sqlite3.Connection, deliveries: list[Delivery], positions: Sequence[int]) -> list[Delivery]:
    """Return the deliveries with the ids that the store knows the unreadable ones by."""
    named = list(deliveries)
    for at in positions:
        one = named[at]
        assert isinstance(one.envelope, Unreadable)
        (task_id,) = conn.execute("SELECT id FROM task WHERE num = ?", (num_of(int(one.receipt)),)).fetchone()
        named[at] = attrs.evolve(one, envelope=attrs.evolve(one.envelope, id=TaskId(task_id)))
    return named


def check_alive(conn: sqlite3.Connection, session: int) -> None:
    """Raise SessionFenced if the session has no row."""
    if conn.execute("SELECT 1 FROM session WHERE num = ?", (session,)).fetchone() is None:
        raise SessionFenced("the session was reaped; open a new one")
