"""Envelopes made ready for the store, and its answers read."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import attrs

from orcastra_core.model.counts import FRESH
from orcastra_core.model.envelope import DedupMode, Envelope
from orcastra_core.model.errors import BrokerError, SerializationError
from orcastra_core.model.ids import TaskId
from orcastra_core.model.published import STORED, Duplicate, Published, Refused, Unknown
from orcastra_core.serialization.envelope_codec import encode_envelope
from orcastra_postgres.settings import LIMITS

_LOWEST, _HIGHEST = LIMITS.priorities
_LONGEST_KEY = 200
"""Bytes; of a longer key its digest is kept. What an index takes is bounded."""


@attrs.define
class Prepared:
    """Envelopes ready for the store.

    Attributes:
        answers: For each envelope why it is refused, or None.
        sent: Those that are not refused.
        encoded: Their bytes.
        rich: Whether one of them has keys, or counts.
        due: Whether one of them has a due.
        lanes: Queue and level of those that are sent, each with its number among them.
    """

    answers: list[Published | None]
    sent: list[Envelope]
    encoded: list[bytes]
    rich: bool = False
    due: bool = False
    lanes: dict[tuple[str, int], int] = attrs.Factory(dict)

    def plain_arguments(self) -> list[Any]:
        """Return what ``publish_plain`` reads behind the domain, but for events."""
        lanes, which = self.lanes, None
        if len(lanes) > 1:
            which = [lanes[one.queue, -one.priority] for one in self.sent]
        dues = [one.due for one in self.sent] if self.due else None
        ids = [one.id for one in self.sent]
        return [[lane[0] for lane in lanes], [lane[1] for lane in lanes], which, ids, self.encoded, dues]

    def arguments(self) -> list[Any]:
        """Return what ``publish`` reads behind the domain, but for events."""
        sent = self.sent
        keys = [one.dedup for one in sent]
        return [
            [one.queue for one in sent],
            [-one.priority for one in sent],
            [one.id for one in sent],
            self.encoded,
            [one.due for one in sent],
            [None if one is None else key_bytes(one.key) for one in keys],
            [None if one is None else int(one.mode) for one in keys],
            [None if one is None else one.window for one in keys],
            [None if one.order_by is None else key_bytes(one.order_by) for one in sent],
            [_counts(one) for one in sent],
        ]

    def read_plain(self, stored: Sequence[Any] | None) -> list[Published]:
        """Return the answers, given the ids that were stored; None for all."""
        if stored is None and len(self.sent) == len(self.answers):
            return [STORED] * len(self.sent)
        here = None if stored is None else {str(one) for one in stored}
        answers: list[Published] = []
        sent = iter(self.sent)
        for answer in self.answers:
            if answer is not None:
                answers.append(answer)
                continue
            envelope = next(sent)
            if here is None:
                answers.append(STORED)
            elif envelope.id in here:
                here.discard(envelope.id)  # the second of one id in a batch is a repeat of the first
                answers.append(STORED)
            else:
                answers.append(Duplicate(envelope.id))
        return answers

    def read(self, codes: Sequence[str]) -> list[Published]:
        """Return the answers, given what the store said of those that were sent."""
        said = iter(zip(codes, self.sent, strict=True))
        return [answer if answer is not None else published(*next(said)) for answer in self.answers]

    def failed(self, error: BrokerError) -> list[Published]:
        """Return the answers where the store gave none."""
        return [Unknown(error) if answer is None else answer for answer in self.answers]


def prepare(batch: Sequence[Envelope], now: float) -> Prepared:
    """Return envelopes ready for the store. ``now`` is the store's, Unix seconds."""
    prepared = Prepared([], [], [])
    answers, sent, encoded, lanes = prepared.answers, prepared.sent, prepared.encoded, prepared.lanes
    queue, priority = None, 0
    for envelope in batch:
        raw = _encode(envelope)
        if not isinstance(raw, Refused) and (
            envelope.due is not None
            or envelope.dedup is not None
            or envelope.order_by is not None
            or envelope.counts is not FRESH
        ):
            raw = _check(envelope, now) or raw
            prepared.due = prepared.due or envelope.due is not None
            prepared.rich = prepared.rich or not (
                envelope.dedup is None and envelope.order_by is None and envelope.counts == FRESH
            )
        if isinstance(raw, Refused):
            answers.append(raw)
            continue
        if envelope.queue != queue or envelope.priority != priority:
            queue, priority = envelope.queue, envelope.priority
            lanes.setdefault((queue, -priority), len(lanes) + 1)
        answers.append(None)
        sent.append(envelope)
        encoded.append(raw)
    return prepared


def _encode(envelope: Envelope) -> bytes | Refused:
    if len(envelope.body) > LIMITS.max_body:
        return Refused(f"the body has {len(envelope.body)} bytes; at most {LIMITS.max_body} are taken")
    if not _LOWEST <= envelope.priority <= _HIGHEST:
        return Refused(f"priority {envelope.priority} is not in {_LOWEST} to {_HIGHEST}")
    try:
        return encode_envelope(envelope)
    except SerializationError as error:
        return Refused(str(error))


def _check(envelope: Envelope, now: float) -> Refused | None:
    if envelope.due is not None and not envelope.due - now <= LIMITS.max_delay:
        return Refused(f"due is more than {LIMITS.max_delay:g} s away")
    dedup = envelope.dedup
    if dedup is not None and dedup.mode is DedupMode.WINDOW and not (dedup.window or 0.0) > 0.0:
        return Refused("a dedup key for a window of time needs its window in seconds")
    return None


def pack_events(events: Sequence[bytes], answers: Sequence[Published | None]) -> tuple[bytes | None, list[int] | None]:
    """Return the records of the envelopes that are sent one behind the other, and their sizes."""
    if not events:
        return None, None
    kept = [record for record, answer in zip(events, answers, strict=True) if answer is None]
    return b"".join(kept), [len(record) for record in kept]


def published(code: str, envelope: Envelope) -> Published:
    """Return what the store's answer to one envelope means."""
    if code == "S":
        return STORED
    if code[:1] == "D":
        return Duplicate(TaskId(code[1:]))
    return Unknown(
        BrokerError(f"{envelope.id} is still here with other counts; is its Moved on the way?", retryable=True)
    )


def key_bytes(key: str) -> bytes:
    """Return a key as the store has it."""
    raw = key.encode("utf-8", "surrogatepass")
    return raw if len(raw) <= _LONGEST_KEY else b"\0" + hashlib.sha256(raw).digest()


def _counts(envelope: Envelope) -> str | None:
    counts = envelope.counts
    return None if counts == FRESH else f"{{{counts.attempt},{counts.lost},{counts.released}}}"
