"""Dead letters as records, and records as dead letters.

The value is what the task's own record had, byte for byte; what is to be known beside it is in headers. A record
without them takes the letter away that is under its key.
"""

from __future__ import annotations

from collections.abc import Sequence
from zlib import crc32

from orcastra_core.model.dead_letter import DeadLetter
from orcastra_core.model.delivery import Delivery
from orcastra_core.model.envelope import Unreadable
from orcastra_core.model.errors import DeserializationError
from orcastra_core.model.ids import TaskId, bytes_of, text_of
from orcastra_core.model.names import QueueName
from orcastra_core.model.result import ErrorInfo
from orcastra_core.model.settlement import Dead
from orcastra_core.serialization.cbor_decode import decode
from orcastra_core.serialization.envelope_codec import encode_envelope
from orcastra_core.serialization.result_codec import read_error, write_error
from orcastra_kafka.logs import Entry
from orcastra_kafka.producer import Record
from orcastra_kafka.publish import counts_of, envelope_of, headers_of
from orcastra_kafka.topics import Names

QUEUE = "queue"
_REASON = "reason"
_ERROR = "error"
_AT = "at"
_BY = "by"
"""The header of a removal: who did it, so that he knows it for his own after a lost answer."""


def record_of_dead(names: Names, settlement: Dead, delivery: Delivery, raw: bytes, now: float) -> Record:
    """Return the letter that a settlement leaves.

    Args:
        names: Of the domain.
        settlement: Why.
        delivery: Of the task.
        raw: What its record had.
        now: Unix seconds.
    """
    envelope = delivery.envelope
    return _record(
        names, envelope.id, envelope.queue, raw, headers_of(delivery.counts), settlement.reason, settlement.error, now
    )


def record_of_letter(names: Names, letter: DeadLetter) -> Record:
    """Return the record of a letter from elsewhere. Raises SerializationError, and ValueError for an id that is none."""
    envelope = letter.envelope
    raw = envelope.raw if isinstance(envelope, Unreadable) else encode_envelope(envelope)
    counts = headers_of(letter.counts)
    return _record(names, letter.id, letter.queue, raw, counts, letter.reason, letter.error, letter.at)


def removal(names: Names, task_id: TaskId, by: bytes) -> Record:
    """Return the record that takes a letter away."""
    key = bytes_of(task_id)
    return Record(names.dead, key, None, ((_BY, by),), spread=crc32(key))


def is_letter(entry: Entry) -> bool:
    """Whether it is a letter, rather than what takes one away."""
    return any(name == QUEUE for name, _ in entry.headers)


def removed_by(entry: Entry) -> bytes | None:
    """Return who took a letter away by this record."""
    return next((value for name, value in entry.headers if name == _BY), None)


def queue_of(entry: Entry) -> QueueName:
    """Return a letter's queue."""
    return QueueName(dict(entry.headers)[QUEUE].decode(errors="replace"))


def died_at(entry: Entry) -> float:
    """Return when, Unix seconds; 0 for somebody else's record."""
    try:
        return float(dict(entry.headers)[_AT])
    except (KeyError, ValueError):
        return 0.0


def letter_of(entry: Entry) -> DeadLetter:
    """Return a letter. ``entry`` has a key of 16 bytes."""
    assert entry.key is not None
    headers = dict(entry.headers)
    queue = queue_of(entry)
    try:
        error = read_error(decode(headers[_ERROR]))
    except (DeserializationError, KeyError, ValueError):
        error = ErrorInfo("unknown")  # somebody else's record
    return DeadLetter(
        id=text_of(entry.key),
        queue=queue,
        envelope=envelope_of(entry.key, entry.value, queue),
        counts=counts_of(entry.headers),
        reason=headers.get(_REASON, b"").decode(errors="replace"),
        error=error,
        at=died_at(entry),
    )


def _record(
    names: Names,
    task_id: TaskId,
    queue: QueueName,
    raw: bytes,
    counts: Sequence[tuple[str, bytes]],
    reason: str,
    error: ErrorInfo,
    at: float,
) -> Record:
    key = bytes_of(task_id)
    headers = (
        (QUEUE, queue.encode()),
        *counts,
        (_REASON, reason.encode("utf-8", "backslashreplace")),
        (_ERROR, write_error(error)),
        (_AT, repr(at).encode()),
    )
    return Record(names.dead, key, raw, headers, spread=crc32(key))
