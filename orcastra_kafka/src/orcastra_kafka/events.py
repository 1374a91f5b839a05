"""The event log: a topic of one partition, a record the events of one call."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from orcastra_core.interfaces.events import EventLog
from orcastra_core.model.errors import InvalidOption
from orcastra_core.model.event import LogEntry
from orcastra_core.serialization import event_codec
from orcastra_kafka import logs
from orcastra_kafka.core import Core
from orcastra_kafka.errors import CLIENT_ERRORS, translate
from orcastra_kafka.protocol.log import EARLIEST, LATEST
from orcastra_kafka.publish import event_record


class KafkaEvents(EventLog):
    """The log. A cursor is «offset/event within the record»."""

    def __init__(self, core_of: Callable[[], Core]) -> None:
        self._core_of = core_of

    async def append(self, batch: Sequence[bytes], /) -> None:
        core = self._core_of()
        if not batch:
            return
        await core.ensure_events()
        (failure,) = await core.producer.send([event_record(core, b"".join(batch))])
        if failure is not None:
            raise failure

    async def read(self, *, after: str | None = None, limit: int = 1000) -> Sequence[LogEntry]:
        core = self._core_of()
        begin, skip = _parse(after)
        found: list[LogEntry] = []
        try:
            topic = await logs.find(core, core.names.events)
            if topic is None:
                return []
            async for page in logs.read(core, topic, 0, begin):
                for entry in page:
                    events = event_codec.decode_events(entry.value)
                    first = skip if entry.offset == begin else 0
                    found += [LogEntry(f"{entry.offset}/{n}", event) for n, event in enumerate(events, 1) if n > first]
                if len(found) >= limit:
                    break
        except CLIENT_ERRORS as error:
            raise translate(error, core.where) from error
        return found[:limit]

    async def trim(self, *, keep: int) -> int:
        core = self._core_of()
        try:
            topic = await logs.find(core, core.names.events)
            if topic is None:
                return 0
            start = await logs.offset_at(core, topic, 0, EARLIEST)
            end = await logs.offset_at(core, topic, 0, LATEST)
            if end - start <= keep:
                return 0
            await logs.cut(core, topic, {0: end - keep})
        except CLIENT_ERRORS as error:
            raise translate(error, core.where) from error
        return end - keep - start


def _parse(cursor: str | None) -> tuple[int, int]:
    if cursor is None:
        return 0, 0
    offset, slash, number = cursor.partition("/")
    if not (slash and offset.isdecimal() and number.isdecimal()):
        raise InvalidOption(f"{cursor!r} is no cursor of this log")
    return int(offset), int(number)
