"""What a task left behind when it ended for good."""

from __future__ import annotations

import enum

import attrs

from orcastra_core.model.envelope import CBOR
from orcastra_core.model.ids import TaskId

RESULT_TTL = 3600.0
"""Seconds a result is kept unless the task or the submit says otherwise."""


class Outcome(enum.IntEnum):
    """How a task ended. Numbers are wire format."""

    COMPLETED = 0
    FAILED = 1
    CANCELLED = 2


@attrs.frozen
class ErrorInfo:
    """An exception as the worker recorded it, in any language.

    Attributes:
        type: Its qualified name.
        message: Its text.
        traceback: Formatted, may be empty.
        retryable: Whether the retry policy would have tried again.
    """

    type: str
    message: str = ""
    traceback: str = ""
    retryable: bool = False


@attrs.frozen
class Result:
    """The end of a task, as stored and as pushed to those who wait.

    Attributes:
        id: The task.
        outcome: How it ended.
        value: The encoded value of a completed task, else empty.
        content_type: How ``value`` is encoded.
        error: Why it failed.
        ended_at: When, Unix seconds, by the worker's clock.
        ttl: Seconds the store keeps it from now. 0 still answers those who wait.
    """

    id: TaskId
    outcome: Outcome
    value: bytes = b""
    content_type: str = CBOR
    error: ErrorInfo | None = None
    ended_at: float = 0.0
    ttl: float = RESULT_TTL


class Absence(enum.Enum):
    """Why a store has no result for an id, where it can tell."""

    PENDING = "waiting, delayed or running"
    EXPIRED = "finished, but its result is gone"
    UNKNOWN = "never stored here, or long forgotten"
