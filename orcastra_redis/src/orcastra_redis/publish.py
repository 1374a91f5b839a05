"""Envelopes made ready for a script, and its answers read."""

from __future__ import annotations

import json
import struct
from collections.abc import Sequence
from typing import Any

import attrs

from orcastra_core.model.counts import FRESH, Counts
from orcastra_core.model.envelope import DedupMode, Envelope
from orcastra_core.model.errors import BrokerError, SerializationError
from orcastra_core.model.ids import TaskId
from orcastra_core.model.published import STORED, Duplicate, Published, Refused, Unknown
from orcastra_core.serialization.envelope_codec import encode_envelope
from orcastra_redis.settings import LIMITS

_LOWEST, _HIGHEST = LIMITS.priorities
_LEVELS = {level: str(level).encode() for level in range(_LOWEST, _HIGHEST + 1)}


@attrs.define
class Prepared:
    """Envelopes ready for a script.

    Attributes:
        args: What ``publish_all`` reads.
        ids: For each envelope its id, or why it is refused.
        sent: How many are not refused.
    """

    args: list[Any]
    ids: list[TaskId | Refused]
    sent: int = 0

    def answers(self, codes: Sequence[bytes]) -> list[Published]:
        """Return what the script's answers mean; no codes at all: everything was stored."""
        if not codes:
            return [one if isinstance(one, Refused) else STORED for one in self.ids]
        said = iter(codes)
        return [one if isinstance(one, Refused) else published(next(said), one) for one in self.ids]


def prepare(batch: Sequence[Envelope], now: float) -> Prepared:
    """Return envelopes ready for a script. ``now`` is the store's, Unix seconds.

    Plain ones of one lane that follow one another become a run: its lane once, then their values.
    """
    args: list[Any] = []
    ids: list[TaskId | Refused] = []
    prepared = Prepared(args, ids)
    lane: tuple[int, str] | None = None
    at = length = 0
    for envelope in batch:
        if (
            envelope.due is not None
            or envelope.dedup is not None
            or envelope.order_by is not None
            or envelope.counts is not FRESH
        ):
            rich = rich_arguments(envelope, now)
            if isinstance(rich, Refused):
                ids.append(rich)
                continue
            args.append(b"R")
            args += rich
            lane = None
        else:
            value = _value(envelope)
            if isinstance(value, Refused):
                ids.append(value)
                continue
            if lane is not None and lane == (envelope.priority, envelope.queue):
                args.append(value)
                length += 1
                args[at] = length
            else:
                lane = (envelope.priority, envelope.queue)
                args += (b"P", _LEVELS[envelope.priority], envelope.queue, 1, value)
                at, length = len(args) - 2, 1
        ids.append(envelope.id)
        prepared.sent += 1
    return prepared


def rich_arguments(envelope: Envelope, now: float) -> tuple[Any, ...] | Refused:
    """Return id, level, queue, value and opts of one envelope, or why it is refused."""
    value = _value(envelope)
    if isinstance(value, Refused):
        return value
    opts = _opts(envelope, now)
    if isinstance(opts, Refused):
        return opts
    return envelope.id, _LEVELS[envelope.priority], envelope.queue, value, opts


def _value(envelope: Envelope) -> bytes | Refused:
    if len(envelope.body) > LIMITS.max_body:
        return Refused(f"the body has {len(envelope.body)} bytes; at most {LIMITS.max_body} are taken")
    if envelope.priority not in _LEVELS:
        return Refused(f"priority {envelope.priority} is not in {_LOWEST} to {_HIGHEST}")
    try:
        return envelope.id.encode() + encode_envelope(envelope)
    except SerializationError as error:
        return Refused(str(error))


def pack_events(pieces: Sequence[bytes]) -> tuple[bytes, bytes]:
    """Return pieces of the log one behind the other, and their lengths, as the scripts read them."""
    return b"".join(pieces), struct.pack(f">{len(pieces)}I", *map(len, pieces))


def _opts(envelope: Envelope, now: float) -> str | Refused:
    opts: dict[str, Any] = {}
    if envelope.due is not None:
        if not envelope.due - now <= LIMITS.max_delay:
            return Refused(f"due is more than {LIMITS.max_delay:g} s away")
        if envelope.due > 0:
            opts["due"] = envelope.due
    dedup = envelope.dedup
    if dedup is not None:
        opts |= {"dk": dedup.key, "dm": int(dedup.mode)}
        if dedup.mode is DedupMode.WINDOW:
            if not (dedup.window or 0.0) > 0.0:
                return Refused("a dedup key for a window of time needs its window in seconds")
            opts["dw"] = max(1, round((dedup.window or 0.0) * 1000))
    if envelope.order_by is not None:
        opts["ok"] = envelope.order_by
    if envelope.counts != FRESH:
        opts["c"] = counts_text(envelope.counts)
    return json.dumps(opts, separators=(",", ":"))


def published(code: bytes, task_id: TaskId) -> Published:
    """Return what a script's answer to one envelope means."""
    if code == b"S":
        return STORED
    if code[:1] == b"D":
        return Duplicate(TaskId(code[1:].decode()))
    return Unknown(BrokerError(f"{task_id} is still here with other counts; is its Moved on the way?", retryable=True))


def counts_text(counts: Counts) -> str:
    """Return counts as the store keeps them."""
    return f"{counts.attempt},{counts.lost},{counts.released}"


def read_counts(text: bytes) -> Counts:
    """Return counts that the store kept; empty for those that are all zero."""
    return Counts(*map(int, text.split(b","))) if text else FRESH
