"""The event log's edge."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence

from orcastra_core.backends.sqlite.core import Core
from orcastra_core.backends.sqlite.tx import Tx
from orcastra_core.interfaces.events import EventLog
from orcastra_core.model.errors import InvalidOption
from orcastra_core.model.event import LogEntry
from orcastra_core.serialization.event_codec import decode_events

_ROWS_AT_ONCE = 64


class SqliteEvents(EventLog):
    """The log as rows of many records each.

    A cursor is «row.record». There is one writer at a time, so rows appear in the order of their numbers.
    """

    def __init__(self, core_of: Callable[[], Core]) -> None:
        self._core_of = core_of

    async def append(self, batch: Sequence[bytes], /) -> None:
        pieces = [piece for piece in batch if piece]
        await self._core_of().write(lambda tx: tx.append_events(pieces), durable=True, weight=len(pieces))

    async def read(self, *, after: str | None = None, limit: int = 1000) -> Sequence[LogEntry]:
        core = self._core_of()
        row, record = _parse(after)
        entries: list[LogEntry] = []
        while len(entries) < limit:
            first = row

            def work(conn: sqlite3.Connection, first: int = first) -> list[tuple[int, bytes]]:
                return conn.execute(
                    "SELECT first, records FROM event WHERE first >= ? ORDER BY first LIMIT ?", (first, _ROWS_AT_ONCE)
                ).fetchall()

            rows = await core.read(work)
            for number, records in rows:
                for at, event in enumerate(decode_events(records), 1):
                    if (number, at) > (row, record):
                        entries.append(LogEntry(f"{number}.{at}", event))
                if len(entries) >= limit:
                    break
            if len(rows) < _ROWS_AT_ONCE:
                break
            row, record = rows[-1][0] + 1, 0
        return entries[:limit]

    async def trim(self, *, keep: int) -> int:
        return await self._core_of().write(lambda tx: _trim(tx, keep))


def _trim(tx: Tx, keep: int) -> int:
    """Drop rows that lie wholly before the last ``keep`` pieces."""
    conn = tx.conn
    (last,) = conn.execute("SELECT event FROM counter").fetchone()
    kept = conn.execute(
        "SELECT first FROM event WHERE first <= ? ORDER BY first DESC LIMIT 1", (last - keep + 1,)
    ).fetchone()
    oldest = conn.execute("SELECT first FROM event ORDER BY first LIMIT 1").fetchone()
    if oldest is None:
        return 0
    until = last + 1 if keep <= 0 else None if kept is None else int(kept[0])
    if until is None:
        return 0
    conn.execute("DELETE FROM event WHERE first < ?", (until,))
    return int(until - oldest[0])


def _parse(cursor: str | None) -> tuple[int, int]:
    if cursor is None:
        return 0, 0
    row, _, record = cursor.partition(".")
    if not row.isdecimal() or not record.isdecimal():
        raise InvalidOption(f"{cursor!r} is no cursor of this log")
    return int(row), int(record)
