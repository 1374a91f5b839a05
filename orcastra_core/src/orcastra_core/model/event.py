"""The catalogue of events, version 1."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import attrs

from orcastra_core.model.ids import TaskId
from orcastra_core.model.names import SessionId

NO_DETAIL: Mapping[str, Any] = MappingProxyType({})


class EventKind(enum.IntEnum):
    """What happened. Numbers are wire format: never reused."""

    SUBMITTED = 1
    STARTED = 2
    RETRIED = 3
    RELEASED = 4
    COMPLETED = 5
    DEAD = 6
    CANCELLED = 7
    LOST = 8
    WORKER_JOINED = 9
    WORKER_LEFT = 10
    DISCARDED = 11
    REPLAYED = 12


@attrs.frozen
class Event:
    """An entry of the append-only log. Arguments never appear in it.

    Attributes:
        kind: What happened.
        at: When, Unix seconds, by the clock of whoever made the event.
        task_id: The task it is about; None for a worker's.
        attempt: Attempts that had failed before this moment.
        session: The session it happened in, if any.
        detail: Small facts by name: queue, task, reason, error, after.
    """

    kind: EventKind
    at: float
    task_id: TaskId | None = None
    attempt: int = 0
    session: SessionId | None = None
    detail: Mapping[str, Any] = NO_DETAIL


@attrs.frozen
class LogEntry:
    """An event with its place in the log.

    Attributes:
        cursor: Opaque text; pass it as ``after`` to go on behind this entry.
        event: What happened.
    """

    cursor: str
    event: Event
