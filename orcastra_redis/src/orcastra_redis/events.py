"""The event log: a capped stream of pieces, a piece the records of one call."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence

from orcastra_core.interfaces.events import EventLog
from orcastra_core.model.errors import DeserializationError, InvalidOption
from orcastra_core.model.event import LogEntry
from orcastra_core.model.ids import TaskId
from orcastra_core.model.names import QueueName, SessionId
from orcastra_core.model.session import Lost
from orcastra_core.serialization import event_codec
from orcastra_redis.core import Core
from orcastra_redis.publish import read_counts

_PAGE = 200


class RedisEvents(EventLog):
    """The log. A cursor is «piece/record»."""

    def __init__(self, core_of: Callable[[], Core]) -> None:
        self._core_of = core_of

    async def append(self, batch: Sequence[bytes], /) -> None:
        core = self._core_of()
        if batch:
            key, most = self._key(core), core.settings.events_max
            await core.link.call("XADD", key, "MAXLEN", "~", most, "*", "b", b"".join(batch), lasting=True)

    async def read(self, *, after: str | None = None, limit: int = 1000) -> Sequence[LogEntry]:
        core = self._core_of()
        piece, skip = _parse(after)
        entries: list[LogEntry] = []
        begin = piece or "-"
        while len(entries) < limit:
            found = await core.link.call("XRANGE", self._key(core), begin, "+", "COUNT", _PAGE)
            for at, fields in found:
                name = at.decode()
                events = event_codec.decode_events(_records(fields))
                first = skip if name == piece else 0
                entries += [LogEntry(f"{name}/{n}", event) for n, event in enumerate(events, 1) if n > first]
            if len(found) < _PAGE:
                break
            begin = f"({found[-1][0].decode()}"
        return entries[:limit]

    async def trim(self, *, keep: int) -> int:
        core = self._core_of()
        return int(await core.link.call("XTRIM", self._key(core), "MAXLEN", "=", keep))

    @staticmethod
    def _key(core: Core) -> str:
        return f"{core.link.prefix}events"


def _records(fields: Mapping[bytes, bytes]) -> bytes:
    if b"b" in fields:
        return fields[b"b"]
    # what a reap noted: scripts do not write CBOR
    task_id, queue, counts, session, at = json.loads(fields[b"l"])
    try:
        lost = Lost(TaskId(task_id), QueueName(queue), read_counts(counts.encode()), SessionId(session))
        return event_codec.lost(lost, at)
    except ValueError as error:
        raise DeserializationError(f"the event log: {error}") from error


def _parse(cursor: str | None) -> tuple[str | None, int]:
    if cursor is None:
        return None, 0
    piece, _, record = cursor.partition("/")
    milliseconds, _, number = piece.partition("-")
    if not (milliseconds.isdecimal() and number.isdecimal() and record.isdecimal()):
        raise InvalidOption(f"{cursor!r} is no cursor of this log")
    return piece, int(record)
