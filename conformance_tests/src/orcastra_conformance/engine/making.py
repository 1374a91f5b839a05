"""Making envelopes, results and settlements, each as plain as it can be."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from orcastra_core.model.counts import FRESH
from orcastra_core.model.delivery import Delivery
from orcastra_core.model.envelope import Envelope, Unreadable
from orcastra_core.model.event import Event, EventKind
from orcastra_core.model.ids import IdFactory, TaskId, derived_id
from orcastra_core.model.names import QueueName, TaskName, queue_name
from orcastra_core.model.result import ErrorInfo, Outcome, Result
from orcastra_core.model.schedule import Firing, Schedule, ScheduleId
from orcastra_core.model.settlement import Complete, Dead, Moved, Release, Retry
from orcastra_core.model.task_state import Cancellation
from orcastra_core.serialization.event_codec import encode_event

ERROR = ErrorInfo(type="builtins.ValueError", message="no", traceback="Traceback …", retryable=True)
TICK = 60.0
"""Seconds between the ticks of a recurring schedule under ``plan``."""


class Making:
    """Makes values that a case publishes, settles with and compares."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._ids = IdFactory()

    def queue(self, name: str = "q") -> QueueName:
        """Return a queue's name."""
        return queue_name(name)

    def id(self) -> TaskId:
        """Return a fresh task id."""
        return self._ids()

    def envelope(self, queue: str = "q", body: bytes = b"\x80", **fields: Any) -> Envelope:
        """Return a fresh envelope."""
        return Envelope(self._ids(), queue_name(queue), TaskName("conformance.task"), body, **fields)

    def envelopes(self, number: int, queue: str = "q", **fields: Any) -> list[Envelope]:
        """Return fresh envelopes."""
        return [self.envelope(queue, **fields) for _ in range(number)]

    def result(self, task_id: TaskId, value: bytes = b"\x01", *, ttl: float = 3600.0) -> Result:
        """Return the result of a task that completed."""
        return Result(task_id, Outcome.COMPLETED, value, ended_at=self._now(), ttl=ttl)

    def failure(self, task_id: TaskId, *, ttl: float = 3600.0) -> Result:
        """Return the result of a task that failed."""
        return Result(task_id, Outcome.FAILED, error=ERROR, ended_at=self._now(), ttl=ttl)

    def complete(
        self,
        delivery: Delivery,
        value: bytes = b"\x01",
        *,
        ttl: float = 3600.0,
        emit: Sequence[Envelope] = (),
        events: bytes = b"",
    ) -> Complete:
        """Return the settlement of a task that completed."""
        return Complete(delivery, self.result(delivery.envelope.id, value, ttl=ttl), emit, events)

    def retry(self, delivery: Delivery, after: float = 0.0, *, events: bytes = b"") -> Retry:
        """Return the settlement of an attempt that failed."""
        return Retry(delivery, after, ERROR, events)

    def dead(
        self, delivery: Delivery, reason: str = "gave up", *, emit: Sequence[Envelope] = (), events: bytes = b""
    ) -> Dead:
        """Return the settlement of a task that failed for good."""
        return Dead(delivery, reason, ERROR, self.failure(delivery.envelope.id), emit, events)

    def release(self, delivery: Delivery, after: float = 0.0) -> Release:
        """Return the settlement that hands back."""
        return Release(delivery, after)

    def moved(self, delivery: Delivery) -> Moved:
        """Return the settlement of what is durable elsewhere."""
        return Moved(delivery)

    def cancellation(self, task_id: TaskId, *, events: bytes = b"") -> Cancellation:
        """Return a wish to cancel."""
        return Cancellation(task_id, Result(task_id, Outcome.CANCELLED, ended_at=self._now()), events)

    def event(self, kind: EventKind, task_id: TaskId | None = None, **detail: Any) -> bytes:
        """Return an event's record."""
        return encode_event(Event(kind, self._now(), task_id, detail=detail))

    def schedule(
        self, name: str, due: float, *, trigger: str | None = None, envelope: Envelope | None = None, **fields: Any
    ) -> Schedule:
        """Return a schedule for the default queue."""
        return Schedule(ScheduleId(name), due, envelope or self.envelope(), trigger, **fields)

    def unreadable(self, raw: bytes) -> Unreadable:
        """Return bytes that are no envelope, for the default queue."""
        return Unreadable(self._ids(), queue_name("q"), raw, "not CBOR")

    @staticmethod
    def plan(schedule: Schedule, now: float) -> Firing:
        """Fire once for all that is due; a recurring schedule comes again every ``TICK``. Pure, as a plan must be."""
        if schedule.trigger is None:
            return Firing([schedule.envelope], None)
        tick = repr(schedule.due).encode()
        fired = derived_id(schedule.envelope.id, schedule.id.encode(), tick)
        envelope = Envelope(
            fired, schedule.envelope.queue, schedule.envelope.task, schedule.envelope.body, counts=FRESH
        )
        missed = max(0.0, now - schedule.due) // TICK
        return Firing([envelope], schedule.due + (missed + 1) * TICK)
