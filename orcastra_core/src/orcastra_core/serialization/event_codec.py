"""Wire format v1 of events: CBOR arrays, in sequences (RFC 8742), see ``docs/reference/wire-format.md``."""

from __future__ import annotations

from typing import Any

from orcastra_core.model.errors import DeserializationError, SerializationError
from orcastra_core.model.event import NO_DETAIL, Event, EventKind
from orcastra_core.model.ids import TaskId, text_of
from orcastra_core.model.names import SessionId
from orcastra_core.model.session import Lost
from orcastra_core.serialization.cbor_decode import read_item
from orcastra_core.serialization.cbor_encode import encode
from orcastra_core.serialization.cbor_items import NULL, head, lenient_text, pack_double
from orcastra_core.serialization.envelope_fields import read_moment, write_id
from orcastra_core.serialization.refusal import Refusal

_KNOWN = {int(kind): kind for kind in EventKind}
_MAX_KEPT = 1024


def encode_event(event: Event, /) -> bytes:
    """Return the record: ``[kind, at, id or null, attempt, session or null, detail or null]``.

    Raises:
        SerializationError: The detail holds something that CBOR cannot.
    """
    session = NULL if event.session is None else lenient_text(event.session)
    return _record(event.kind, event.at, event.task_id, event.attempt, session + _detail(event.detail))


def lost(lost: Lost, /, at: float) -> bytes:
    """Return the LOST record of a delivery whose session was reaped at ``at``, Unix seconds."""
    detail = {"queue": lost.queue, "lost": lost.counts.lost}
    return _record(EventKind.LOST, at, lost.id, lost.counts.attempt, lenient_text(lost.session) + _detail(detail))


def decode_events(raw: bytes, /) -> list[Event]:
    """Return the events of a sequence of records, possibly none.

    Kinds from a later version are skipped, and so are elements behind the sixth.

    Raises:
        DeserializationError: It is no such sequence. Nothing else, for any bytes.
    """
    events: list[Event] = []
    at = 0
    while at < len(raw):
        item, end = read_item(raw, at, 0, False)
        try:
            event = _read(item)
        except ValueError as error:
            raise DeserializationError(f"event at byte {at}: {error}") from None
        if event is not None:
            events.append(event)
        at = end
    return events


class EventWriter:
    """Makes records for one session, or for a client (``session`` None), as fast as Python can.

    What recurs is encoded once. Not bound to a thread or loop.
    """

    def __init__(self, session: SessionId | None = None) -> None:
        self._session = NULL if session is None else lenient_text(session)
        self._bare = self._session + NULL
        self._first = b"\x00" + self._bare
        self._submitted: dict[tuple[str, str], bytes] = {}

    def completed(self, task_id: TaskId, at: float, attempt: int = 0) -> bytes:
        """Return the COMPLETED record."""
        raw_id = bytes.fromhex(task_id.replace("-", ""))
        tail = self._first if attempt == 0 else head(0, attempt) + self._bare
        return b"\x86\x05\xfb" + pack_double(at) + b"\x50" + raw_id + tail

    def submitted(self, task_id: TaskId, at: float, queue: str, task: str) -> bytes:
        """Return the SUBMITTED record."""
        raw_id = bytes.fromhex(task_id.replace("-", ""))
        tail = self._submitted.get((queue, task)) or self._keep(queue, task)
        return b"\x86\x01\xfb" + pack_double(at) + b"\x50" + raw_id + tail

    def event(
        self, kind: EventKind, at: float, task_id: TaskId | None = None, attempt: int = 0, **detail: Any
    ) -> bytes:
        """Return a record of any kind; ``detail`` holds small facts by name, None is left out.

        Raises:
            SerializationError: The detail holds something that CBOR cannot.
        """
        facts = {name: fact for name, fact in detail.items() if fact is not None}
        return _record(kind, at, task_id, attempt, self._session + _detail(facts))

    def _keep(self, queue: str, task: str) -> bytes:
        if len(self._submitted) >= _MAX_KEPT:
            self._submitted.clear()
        tail = b"\x00" + self._session + _detail({"queue": queue, "task": task})
        self._submitted[queue, task] = tail
        return tail


def _record(kind: EventKind, at: float, task_id: TaskId | None, attempt: int, tail: bytes) -> bytes:
    try:
        raw_id = NULL if task_id is None else write_id(task_id)
    except ValueError as error:
        raise SerializationError(f"event: {error}") from None
    return b"\x86" + head(0, kind) + b"\xfb" + pack_double(at) + raw_id + head(0, attempt) + tail


def _detail(detail: Any) -> bytes:
    if not detail:
        return NULL
    pairs = []
    for name in detail:
        fact = detail[name]
        try:
            # An error's text may hold anything; an event about it must not fail for that.
            pairs.append(lenient_text(name) + (lenient_text(fact) if isinstance(fact, str) else encode(fact)))
        except Refusal as refusal:
            raise SerializationError(f"event detail {name!r}{refusal.where()}: {refusal.why}") from None
    return head(5, len(pairs)) + b"".join(pairs)


def _read(item: Any) -> Event | None:
    if type(item) is not list or len(item) < 6:
        raise ValueError("expected [kind, at, id, attempt, session, detail]")
    kind, at, task_id, attempt, session, detail = item[:6]
    if type(kind) is not int or kind < 1:
        raise ValueError("the kind is not a number from 1")
    if kind not in _KNOWN:
        return None
    if task_id is not None and (type(task_id) is not bytes or len(task_id) != 16):
        raise ValueError("the id is not 16 bytes")
    if type(attempt) is not int or attempt < 0:
        raise ValueError("the attempt is not a number from 0")
    if session is not None and type(session) is not str:
        raise ValueError("the session is not text")
    if detail is not None and not (type(detail) is dict and all(type(name) is str for name in detail)):
        raise ValueError("the detail is not a map of text keys")
    return Event(
        _KNOWN[kind],
        read_moment(at),
        None if task_id is None else text_of(task_id),
        attempt,
        None if session is None else SessionId(session),
        detail or NO_DETAIL,
    )
