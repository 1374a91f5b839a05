"""The event log: a piece is what one step appended."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

import attrs

from orcastra_core.interfaces.events import EventLog
from orcastra_core.model.counts import Counts
from orcastra_core.model.errors import DeserializationError, InvalidOption
from orcastra_core.model.event import LogEntry
from orcastra_core.model.ids import TaskId
from orcastra_core.model.names import QueueName, SessionId
from orcastra_core.model.session import Lost
from orcastra_core.serialization import event_codec
from orcastra_postgres.core import Core

_PAGE = 200
_NOTHING = "1:1:"
"""A snapshot of the server's that sees no transaction."""


@attrs.frozen
class _Cursor:
    """How far a reader got.

    Transactions are committed in another order than they began, so what a reader has not seen is behind no number: it is
    what the snapshot of its last complete read did not see. The text is ``before|now|xid.serial.record``.

    Attributes:
        before: The snapshot of which everything was read.
        now: The one of which everything is being read; None: a new one.
        xid: The transaction of the piece it got to.
        serial: The piece.
        record: The record in it.
    """

    before: str = _NOTHING
    now: str | None = None
    xid: int = 0
    serial: int = 0
    record: int = 0

    @classmethod
    def parse(cls, text: str | None) -> _Cursor:
        if text is None:
            return cls()
        try:
            before, now, place = text.split("|")
            xid, serial, record = map(int, place.split("."))
            for snapshot in (before, now):
                low, high, _ = snapshot.split(":")
                if not 0 < int(low) <= int(high):
                    raise ValueError
        except ValueError:
            raise InvalidOption(f"{text!r} is no cursor of this log") from None
        return cls(before, now, xid, serial, record)

    def at(self, now: str, record: int) -> str:
        return f"{self.before}|{now}|{self.xid}.{self.serial}.{record}"


class PostgresEvents(EventLog):
    """The log."""

    def __init__(self, core_of: Callable[[], Core]) -> None:
        self._core_of = core_of

    async def append(self, batch: Sequence[bytes], /) -> None:
        core = self._core_of()
        records = b"".join(batch)
        if records:
            await core.ask("append", core.domain, len(batch), records)

    async def read(self, *, after: str | None = None, limit: int = 1000) -> Sequence[LogEntry]:
        core = self._core_of()
        cursor = _Cursor.parse(after)
        resumed = cursor.now is not None
        entries: list[LogEntry] = []
        while len(entries) < limit:
            rows = await core.ask(
                "read_events", core.domain, cursor.before, str(cursor.xid), cursor.serial, cursor.now, _PAGE
            )
            for xid, serial, kind, records, snapshot in rows:
                if len(entries) >= limit:
                    break  # pieces may be large: decode no more of them than are asked for
                here = (cursor.xid, cursor.serial) == (int(xid), serial)
                skip = cursor.record if here else 0
                cursor = attrs.evolve(cursor, now=cursor.now or snapshot, xid=int(xid), serial=serial, record=skip)
                found = event_codec.decode_events(_records(kind, records))
                assert cursor.now is not None
                for number, event in enumerate(found[skip:], skip + 1):
                    entries.append(LogEntry(cursor.at(cursor.now, number), event))
                cursor = attrs.evolve(cursor, record=len(found))
            if len(rows) == _PAGE:
                continue
            if cursor.now is None or not resumed:
                break
            # all that the snapshot of the last read saw is read: go on with what it did not see
            cursor, resumed = _Cursor(before=cursor.now), False
        return entries[:limit]

    async def trim(self, *, keep: int) -> int:
        core = self._core_of()
        return int((await core.ask("trim_events", core.domain, keep))[0][0])


def _records(kind: int, records: bytes) -> bytes:
    if kind == 0:
        return records
    # what a reap noted: the server does not write CBOR
    noted: dict[str, Any] = json.loads(records)
    try:
        session, at = SessionId(noted["session"]), noted["at"]
        return b"".join(
            event_codec.lost(Lost(TaskId(task_id), QueueName(queue), Counts(*counts), session), at)
            for task_id, queue, *counts in zip(
                noted["ids"], noted["queues"], noted["attempts"], noted["losses"], noted["releases"], strict=True
            )
        )
    except (KeyError, ValueError) as error:
        raise DeserializationError(f"the event log: {error}") from error
