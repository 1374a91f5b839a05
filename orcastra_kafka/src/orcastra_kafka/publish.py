"""Envelopes as records, and records as envelopes."""

from __future__ import annotations

from collections.abc import Sequence
from zlib import crc32

from orcastra_core.model.counts import FRESH, Counts
from orcastra_core.model.envelope import Envelope, Unreadable
from orcastra_core.model.errors import BrokerError, DeserializationError, SerializationError
from orcastra_core.model.ids import bytes_of, derived_id, text_of
from orcastra_core.model.names import QueueName
from orcastra_core.model.profile import Cap
from orcastra_core.model.published import STORED, Published, Refused, Unknown
from orcastra_core.serialization.envelope_codec import decode_envelope, encode_envelope
from orcastra_kafka.core import Core
from orcastra_kafka.producer import Record
from orcastra_kafka.server import NOTES
from orcastra_kafka.settings import LIMITS, Settings
from orcastra_kafka.topics import Names

COUNTS = "counts"
"""The header that holds the three counts as decimal numbers; absent while all are zero."""
ORDER = "order"
"""The header that holds the ordering key, of a task that has one."""
LEVEL = "level"
"""The header that holds the priority of a task that has an ordering key: those of a key keep to one topic."""


_NOBODY = text_of(bytes(16))
"""From which the ids of records derive that somebody else has put there, without one of ours."""


def refusal(envelope: Envelope, settings: Settings) -> Refused | None:
    """Return why an envelope is not taken, if it is not."""
    if len(envelope.body) > LIMITS.max_body:
        return Refused(f"the body has {len(envelope.body)} bytes; at most {LIMITS.max_body} are taken")
    if envelope.priority not in settings.priorities:
        taken = f"{min(settings.priorities)} to {max(settings.priorities)}"
        return Refused(f"priority {envelope.priority} is not in {taken}: {NOTES[Cap.PRIORITY]}")
    if envelope.due is not None:
        return _unsupported(Cap.DELAY)
    if envelope.dedup is not None:
        return _unsupported(Cap.DEDUP)
    if envelope.order_by is not None and settings.lane != "classic":
        return _unsupported(Cap.ORDERED_KEY)
    return None


def _unsupported(cap: Cap) -> Refused:
    return Refused(f"kafka does not offer {cap.name}: {NOTES[cap]}")


def record_of(envelope: Envelope, counts: Counts, names: Names) -> Record:
    """Return the record of an envelope with these counts. Raises SerializationError."""
    key, value, headers = bytes_of(envelope.id), encode_envelope(envelope), headers_of(counts)
    if envelope.order_by is None:
        return Record(names.lane(envelope.queue, envelope.priority), key, value, headers)
    order = envelope.order_by.encode()
    headers = [*headers, (ORDER, order), (LEVEL, str(envelope.priority).encode())]
    return Record(names.lane(envelope.queue, 0), key, value, headers, spread=crc32(order))


def headers_of(counts: Counts) -> Sequence[tuple[str, bytes]]:
    """Return the headers that hold counts."""
    if counts is FRESH or counts == FRESH:
        return ()
    return ((COUNTS, f"{counts.attempt},{counts.lost},{counts.released}".encode()),)


def counts_of(headers: Sequence[tuple[str, bytes]]) -> Counts:
    """Return the counts that headers hold."""
    for name, value in headers:
        if name == COUNTS:
            try:
                return Counts(*map(int, value.split(b",")))
            except (TypeError, ValueError):
                break  # somebody else's record
    return FRESH


def envelope_of(key: bytes | None, value: bytes | None, queue: QueueName) -> Envelope | Unreadable:
    """Return the envelope of a record, or its bytes where they are none."""
    try:
        envelope = decode_envelope(value or b"")
    except DeserializationError as error:
        task_id = text_of(key) if key is not None and len(key) == 16 else derived_id(_NOBODY, key or b"", value or b"")
        return Unreadable(task_id, queue, value or b"", str(error))
    return envelope


async def publish(core: Core, batch: Sequence[Envelope], events: Sequence[bytes]) -> Sequence[Published]:
    """Store envelopes: the topics they need, then all records at once, then the events of those that are stored."""
    answers: list[Published | None] = [refusal(envelope, core.settings) for envelope in batch]
    records: list[Record] = []
    places: list[int] = []
    for place, envelope in enumerate(batch):
        if answers[place] is None:
            try:
                records.append(record_of(envelope, envelope.counts, core.names))
                places.append(place)
            except SerializationError as error:
                answers[place] = Refused(str(error))
    try:
        await core.ensure_queues(list({batch[place].queue for place in places}))
        said = await core.producer.send(records)
    except BrokerError as error:
        said = [error] * len(records)
    for place, failure in zip(places, said, strict=True):
        answers[place] = STORED if failure is None else Unknown(failure)
        if failure is not None:
            core.look_again(failure)
    told = [record for record, answer in zip(events, answers, strict=False) if answer is STORED]
    if told:
        await core.ensure_events()
        await core.producer.send([event_record(core, b"".join(told))])
    return [answer for answer in answers if answer is not None]


def event_record(core: Core, events: bytes) -> Record:
    """Return a piece of the event log."""
    return Record(core.names.events, None, events)
