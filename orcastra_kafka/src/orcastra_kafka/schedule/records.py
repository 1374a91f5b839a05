"""Schedules as records of the log: the id is the key, and the value begins with what everybody looks at."""

from __future__ import annotations

import json
import struct
from zlib import crc32

import attrs

from orcastra_core.model.envelope import Envelope
from orcastra_core.model.errors import DeserializationError, InvalidOption, SerializationError
from orcastra_core.model.ids import TaskId
from orcastra_core.model.schedule import Misfire, Schedule, ScheduleId
from orcastra_core.serialization.envelope_codec import decode_envelope, encode_envelope

FORMAT = 1
_HEAD = struct.Struct(">BBdd")
_PAUSED = 1


@attrs.frozen
class Head:
    """The first bytes of a value.

    Attributes:
        due: Its tick, Unix seconds.
        look: When to look at it: ``due``, or when its claim ends.
        paused: Whether it is left alone.
    """

    due: float
    look: float
    paused: bool


def key_of(schedule_id: ScheduleId) -> bytes:
    """Return the key of a schedule's records. Keys are in the order of ids."""
    return schedule_id.encode("utf-8", "surrogatepass")


def spread(key: bytes) -> int:
    """Return the number that, modulo the partitions, says where a schedule lives."""
    return crc32(key)


def pack(schedule: Schedule, *, look: float | None = None) -> bytes:
    """Return the value of a schedule. Raises InvalidOption for an envelope that cannot be encoded."""
    try:
        envelope = encode_envelope(schedule.envelope)
    except SerializationError as error:
        raise InvalidOption(str(error)) from error
    facts = json.dumps([schedule.trigger, schedule.misfire.value, schedule.grace]).encode()
    return _head(schedule.due, schedule.due if look is None else look, schedule.paused) + facts + b"\n" + envelope


def moved(value: bytes, *, due: float, look: float) -> bytes:
    """Return a value with other moments."""
    return _head(due, look, head(value).paused) + value[_HEAD.size :]


def head(value: bytes) -> Head:
    """Read the beginning of a value. Raises DeserializationError for what is none of ours."""
    if len(value) < _HEAD.size or value[0] != FORMAT:
        raise DeserializationError(f"no schedule of format {FORMAT}")
    _, flags, due, look = _HEAD.unpack_from(value)
    return Head(due, look, bool(flags & _PAUSED))


def unpack(key: bytes, value: bytes) -> Schedule:
    """Return the schedule of a record. Raises DeserializationError."""
    beginning = head(value)
    facts, _, envelope = value[_HEAD.size :].partition(b"\n")
    try:
        trigger, misfire, grace = json.loads(facts)
        return Schedule(
            ScheduleId(key.decode("utf-8", "surrogatepass")),
            beginning.due,
            decode_envelope(envelope),
            trigger,
            Misfire(misfire),
            grace,
            beginning.paused,
        )
    except ValueError as error:
        raise DeserializationError(f"no schedule: {error}") from error


def same(old: Schedule, new: Schedule) -> bool:
    """Whether a recurring schedule that is added again keeps its due."""
    return new.trigger is not None and old.trigger == new.trigger and _bare(old.envelope) == _bare(new.envelope)


def _head(due: float, look: float, paused: bool) -> bytes:
    return _HEAD.pack(FORMAT, _PAUSED if paused else 0, due, look)


def _bare(envelope: Envelope) -> Envelope:
    """Return the envelope without what differs each time a program makes it."""
    return attrs.evolve(envelope, id=TaskId(""), submitted_at=None, due=None, reply=None, parent=None)
