"""Settling: what becomes of deliveries, a batch in one transaction."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from orcastra_core.backends.sqlite import moves
from orcastra_core.backends.sqlite.answers import decode_answers, encode_answers
from orcastra_core.backends.sqlite.outcomes import Prepared
from orcastra_core.backends.sqlite.publish import publish
from orcastra_core.backends.sqlite.pushing import keep, push
from orcastra_core.backends.sqlite.rows import DEAD, num_of
from orcastra_core.backends.sqlite.settings import LIMITS
from orcastra_core.backends.sqlite.statements import execute_list, execute_rows, select_list, sql
from orcastra_core.backends.sqlite.tx import Tx
from orcastra_core.model.dead_letter import DEAD_LETTER_TTL
from orcastra_core.model.errors import BrokerError
from orcastra_core.model.settlement import DONE, STALE, Complete, Dead, Done, Failed, Moved, Release, Retry, Settled


def settle(tx: Tx, session: int, batch: Sequence[Prepared | Failed], number: int) -> tuple[bool, list[Settled]]:
    """Settle a numbered batch, or return the answers it got before.

    Returns:
        Whether the session lives, and the answers.
    """
    conn = tx.conn
    slot = number % LIMITS.settle_window
    known = conn.execute(sql("session_answers"), (session, slot)).fetchone()
    if known is None:
        return False, [STALE] * len(batch)
    kept, answers_text, highest = known
    if kept == number:
        return True, decode_answers(answers_text)
    if highest is not None and number <= highest:
        return True, [STALE] * len(batch)  # too old: its answers were dropped
    answers = _settle_plain(tx, session, batch) or _settle_any(tx, session, batch)
    events: list[bytes] = []
    for item, answer in zip(batch, answers, strict=True):
        if isinstance(answer, Done) and isinstance(item, Prepared):
            if item.events:
                events.append(item.events)
            if item.reply is not None:
                push(tx.effects, item.reply, item.task_id, item.result)
    tx.append_events(events)
    conn.execute(
        "INSERT OR REPLACE INTO settled (session, slot, number, answers) VALUES (?, ?, ?, ?)",
        (session, slot, number, encode_answers(answers)),
    )
    return True, answers


def _settle_plain(tx: Tx, session: int, batch: Sequence[Prepared | Failed]) -> list[Settled] | None:
    """Settle a batch of plain completions that are all held; None, and nothing done, if it is anything else."""
    receipts: list[int] = []
    for item in batch:
        if type(item) is not Prepared or not item.plain:
            return None
        receipts.append(item.receipt)
    if not receipts or len(set(receipts)) < len(receipts):
        return None
    conn = tx.conn
    conn.execute("SAVEPOINT plain")
    if execute_list(conn, sql("let_go"), receipts, session) < len(receipts):
        conn.execute("ROLLBACK TO plain")
        conn.execute("RELEASE plain")
        return None
    _finish_together(tx, batch)  # type: ignore[arg-type]
    conn.execute("RELEASE plain")
    return [DONE] * len(batch)


def _settle_any(tx: Tx, session: int, batch: Sequence[Prepared | Failed]) -> list[Settled]:
    conn = tx.conn
    receipts = [item.receipt for item in batch if isinstance(item, Prepared)]
    held = {receipt for (receipt,) in select_list(conn, sql("held_of"), receipts, session)}
    answers: list[Settled] = []
    plain: list[Prepared] = []
    for item in batch:
        if isinstance(item, Failed):
            answers.append(item)
        elif item.receipt not in held:
            answers.append(STALE)
        else:
            held.discard(item.receipt)
            if item.plain:
                plain.append(item)
                answers.append(DONE)
            else:
                answers.append(_settle_alone(tx, session, item))
    if plain:
        execute_list(conn, sql("let_go"), [item.receipt for item in plain], session)
        _finish_together(tx, plain)
    return answers


def _settle_alone(tx: Tx, session: int, item: Prepared) -> Settled:
    conn = tx.conn
    conn.execute("SAVEPOINT item")
    try:
        conn.execute("DELETE FROM running WHERE session = ? AND receipt = ?", (session, item.receipt))
        answer = _apply(tx, item)
    except (sqlite3.DataError, sqlite3.ProgrammingError, UnicodeEncodeError) as error:
        # what this item alone is to blame for; a full or broken store is everybody's
        conn.execute("ROLLBACK TO item")
        conn.execute("RELEASE item")
        return Failed(BrokerError(f"{type(error).__name__}: {error}"))
    conn.execute("RELEASE item")
    return answer


def _apply(tx: Tx, item: Prepared) -> Settled:
    conn, num = tx.conn, num_of(item.receipt)
    conn.execute("DELETE FROM wish WHERE num = ?", (num,))
    if item.kind is Complete:
        moves.finish(tx, num, *_kept(tx, item))
    elif item.kind is Dead:
        _bury(tx, num, item)
    elif item.kind is Moved:
        moves.move_away(tx, num)
    elif item.kind is Retry:
        conn.execute("UPDATE task SET attempt = attempt + 1, lost = 0 WHERE num = ?", (num,))
        _again(tx, num, item.after, to_tail=True)
    else:
        assert item.kind is Release
        conn.execute("UPDATE task SET released = released + 1, lost = 0 WHERE num = ?", (num,))
        _again(tx, num, item.after, to_tail=False)
    return Done(publish(tx, item.emit)) if item.emit is not None else DONE


def _again(tx: Tx, num: int, after: float, *, to_tail: bool) -> None:
    if after > 0:
        moves.make_delayed(tx, num, tx.now + after)
    elif to_tail:
        moves.make_ready(tx, num, pos=tx.take_numbers(1), keep_pos=False)
    else:
        moves.make_ready(tx, num)


def _bury(tx: Tx, num: int, item: Prepared) -> None:
    moves.free_keys(tx, num)
    result, expires = _kept(tx, item)
    tx.conn.execute(
        "UPDATE task SET state = ?, result = ?, gone = ? WHERE num = ?", (DEAD, result, tx.now + DEAD_LETTER_TTL, num)
    )
    tx.conn.execute(sql("bury"), (tx.now, item.reason, item.error, expires, num))


def _finish_together(tx: Tx, items: Sequence[Prepared]) -> None:
    rows = [(num_of(item.receipt), *_kept(tx, item)) for item in items if not item.large]
    execute_rows(tx.conn, sql("finish"), rows)
    if len(rows) < len(items):
        large = [item for item in items if item.large]
        first = tx.take_numbers(len(large))
        moved = [(num_of(item.receipt), *_kept(tx, item), first + at) for at, item in enumerate(large)]
        execute_rows(tx.conn, sql("finish_large"), moved)


def _kept(tx: Tx, item: Prepared) -> tuple[bytes | None, float]:
    return keep(tx.now, item.ttl, item.result, pushed=item.reply is not None)
