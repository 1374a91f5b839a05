"""The immutable message."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import attrs

from orcastra_core.model.counts import FRESH, Counts
from orcastra_core.model.ids import TaskId
from orcastra_core.model.names import QueueName, TaskName

CBOR = "application/cbor"
NO_HEADERS: Mapping[str, Any] = MappingProxyType({})
NO_EXTRAS: Mapping[int, Any] = MappingProxyType({})


class DedupMode(enum.IntEnum):
    """How long a dedup key holds."""

    ALIVE = 0
    """From Stored to the final settlement, through retries and releases."""
    UNTIL_START = 1
    """From Stored to the first hand-over."""
    WINDOW = 2
    """For ``window`` seconds from Stored, whatever becomes of the task."""


@attrs.frozen
class Dedup:
    """A key that at most one task of a queue holds at a time.

    Attributes:
        key: Any text; scoped to the queue.
        mode: How long it holds.
        window: Seconds, for ``DedupMode.WINDOW`` only.
    """

    key: str
    mode: DedupMode = DedupMode.ALIVE
    window: float | None = None


@attrs.frozen
class Envelope:
    """An immutable message: what to run, where, when, and its argument bytes.

    Names, sizes and ranges are checked where envelopes are made (the client,
    and the wire decoder), not here: backends may rely on them.

    Attributes:
        id: The task's id, for ever: also over retries and replay.
        queue: Where it waits.
        task: The registered name of what it runs.
        body: The encoded arguments.
        content_type: How ``body`` is encoded.
        priority: Larger is served first. Outside the limits: Refused.
        due: Not before this moment of the store's clock, Unix seconds. The only form of delay.
        expires: Not to be started after this moment, Unix seconds of the store's clock. The runtime judges it at hand-over.
        dedup: Its dedup key, if any.
        order_by: Its ordering key, scoped to the queue: the next task of a key waits (as DELAYED, ``due`` None) until the
            one before it is settled for good.
        reply: The channel of the client that may wait for the result.
        submitted_at: When the client made it, by the client's clock, Unix seconds.
        timeout: Seconds an attempt may take, instead of the task's own; 0 for none.
        result_ttl: Seconds its result is kept, instead of the task's own.
        parent: The task that submitted this one.
        counts: What it starts with; not zero where it came through a Scheduler.
        headers: Extensions, keyed ``x-<dist>-…``; values that CBOR holds.
        extras: Integer wire keys this version does not know, kept for the next hop.
    """

    id: TaskId
    queue: QueueName
    task: TaskName
    body: bytes
    content_type: str = CBOR
    priority: int = 0
    due: float | None = None
    expires: float | None = None
    dedup: Dedup | None = None
    order_by: str | None = None
    reply: str | None = None
    submitted_at: float | None = None
    timeout: float | None = None
    result_ttl: float | None = None
    parent: TaskId | None = None
    counts: Counts = FRESH
    headers: Mapping[str, Any] = NO_HEADERS
    extras: Mapping[int, Any] = NO_EXTRAS


@attrs.frozen
class Unreadable:
    """Stored bytes that are no envelope. They go to the dead letters, intact.

    Attributes:
        id: What the store knows it by.
        queue: Where it was found.
        raw: The bytes as they were stored.
        error: Why they could not be read.
    """

    id: TaskId
    queue: QueueName
    raw: bytes
    error: str
