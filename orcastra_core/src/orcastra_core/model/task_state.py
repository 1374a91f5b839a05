"""Where a task is, and what cancelling it did."""

from __future__ import annotations

import enum

import attrs

from orcastra_core.model.counts import Counts
from orcastra_core.model.envelope import Envelope, Unreadable
from orcastra_core.model.ids import TaskId
from orcastra_core.model.names import SessionId
from orcastra_core.model.result import Result


class State(enum.Enum):
    """Where a task is."""

    READY = "ready"
    DELAYED = "delayed"
    RUNNING = "running"
    DEAD = "dead"
    FINISHED = "finished"


@attrs.frozen(kw_only=True)
class TaskState:
    """A task as the store knows it at one moment.

    Attributes:
        id: The task.
        state: Where it is.
        envelope: None once it is finished.
        counts: None once it is finished.
        due: When it may start, for a delayed one, Unix seconds of the store's clock.
        session: Who holds it, for a running one.
    """

    id: TaskId
    state: State
    envelope: Envelope | Unreadable | None = None
    counts: Counts | None = None
    due: float | None = None
    session: SessionId | None = None


@attrs.frozen
class Cancellation:
    """A wish to cancel.

    Attributes:
        id: The task.
        result: Stored, and pushed to its waiter, if the task was waiting.
        events: Appended in that case.
    """

    id: TaskId
    result: Result
    events: bytes = b""


class Cancelled(enum.Enum):
    """What became of a wish to cancel."""

    REMOVED = "it was waiting; it will never run"
    SIGNALLED = "it is running; its session was told"
    TOO_LATE = "it has already ended"
    UNKNOWN = "the store knows no such task"
