"""Envelopes and settlements as the tests need them."""

from __future__ import annotations

from typing import Any

from orcastra_core.model.delivery import Delivery, Want
from orcastra_core.model.envelope import Envelope
from orcastra_core.model.event import Event, EventKind
from orcastra_core.model.ids import IdFactory, TaskId
from orcastra_core.model.names import QueueName, TaskName
from orcastra_core.model.result import Outcome, Result
from orcastra_core.model.settlement import Complete
from orcastra_core.serialization.event_codec import encode_event

QUEUE = QueueName("work")
new_id = IdFactory()


def envelope(**changes: Any) -> Envelope:
    """Return a fresh envelope."""
    fields: dict[str, Any] = {
        "id": new_id(),
        "queue": QUEUE,
        "task": TaskName("test.task"),
        "body": b"body",
        "submitted_at": 1_750_000_000.0,
    }
    return Envelope(**(fields | changes))


def envelopes(number: int, **changes: Any) -> list[Envelope]:
    """Return fresh envelopes."""
    return [envelope(**changes) for _ in range(number)]


def want(limit: int, queue: QueueName = QUEUE) -> Want:
    """Return a wish for up to ``limit`` deliveries of one queue."""
    return Want(limit, [(queue, limit)])


def completed(delivery: Delivery, value: bytes = b"\x01", ttl: float = 3600.0) -> Complete:
    """Return the completion of a delivery, with its event."""
    task_id = delivery.envelope.id
    result = Result(task_id, Outcome.COMPLETED, value, ended_at=1_750_000_000.0, ttl=ttl)
    return Complete(delivery, result, events=event(EventKind.COMPLETED, task_id))


def event(kind: EventKind, task_id: TaskId) -> bytes:
    """Return an event record."""
    return encode_event(Event(kind, 1_750_000_000.0, task_id))
