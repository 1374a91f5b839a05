"""From what came of an attempt to what becomes of its delivery. Pure."""

from __future__ import annotations

import asyncio
import random

import attrs

from orcastra_core.model.delivery import Delivery
from orcastra_core.model.envelope import CBOR, Envelope, Unreadable
from orcastra_core.model.errors import GiveUp, RetryLater, Snooze
from orcastra_core.model.event import EventKind
from orcastra_core.model.ids import TaskId
from orcastra_core.model.result import RESULT_TTL, ErrorInfo, Outcome, Result
from orcastra_core.model.retry import NO_RETRY
from orcastra_core.model.settlement import Complete, Dead, Release, Retry, Settlement
from orcastra_core.runtime.describe import RemoteFailure, describe
from orcastra_core.runtime.task_spec import TaskSpec
from orcastra_core.serialization.event_codec import EventWriter

SUSPECT_LOST = 2
"""A delivery lost this often runs alone: it may be what kills its holders."""

_UNKNOWN_FIRST, _UNKNOWN_MOST = 0.5, 30.0

TIMEOUT_TYPE = "TaskTimeout"
CANCELLED = "cancelled"


def unknown_task_delay(released: int, grace: float) -> float | None:
    """Return how long to release an unknown task for the n-th time, or None once ``grace`` seconds are used up.

    Doubles from 0.5 s to 30 s. Reckoned from the count of releases alone: the
    age of the message would say how long the queue was, not how long we looked for its task.
    """
    spent, delay = 0.0, _UNKNOWN_FIRST
    for _ in range(released):
        spent += delay
        delay = min(delay * 2, _UNKNOWN_MOST)
        if spent >= grace:
            return None
    return delay if spent < grace else None


@attrs.frozen
class Judge:
    """Makes settlements for one session.

    Attributes:
        writer: Makes the events, in the session's name.
        rng: Where jitter comes from.
    """

    writer: EventWriter
    rng: random.Random

    def completed(
        self,
        delivery: Delivery,
        envelope: Envelope,
        spec: TaskSpec,
        value: bytes,
        content_type: str,
        emit: tuple[Envelope, ...],
        now: float,
    ) -> Complete:
        """The task returned."""
        ttl = spec.result_ttl if envelope.result_ttl is None else envelope.result_ttl
        result = Result(envelope.id, Outcome.COMPLETED, value, content_type, None, now, ttl)
        return Complete(delivery, result, emit, self.writer.completed(envelope.id, now, delivery.counts.attempt))

    def raised(
        self, delivery: Delivery, envelope: Envelope, spec: TaskSpec, error: BaseException, now: float
    ) -> Settlement:
        """The task raised: steer, retry or give up."""
        if isinstance(error, Snooze):
            return self.released(delivery, envelope, max(0.0, error.after), "snoozed", now)
        if isinstance(error, GiveUp):
            return self.dead(delivery, envelope, spec, error.reason, describe(error), now)
        if isinstance(error, RemoteFailure):
            return self.failed(delivery, envelope, spec, error.info, now)
        steered = isinstance(error, RetryLater)
        info = describe(error, retryable=steered or spec.retry.wants(error))
        return self.failed(
            delivery, envelope, spec, info, now, after=max(0.0, error.after) if isinstance(error, RetryLater) else None
        )

    def timed_out(
        self, delivery: Delivery, envelope: Envelope, spec: TaskSpec, timeout: float, now: float
    ) -> Settlement:
        """The attempt took longer than its timeout."""
        error = TimeoutError(f"the attempt took longer than {timeout:g} s")
        info = ErrorInfo(TIMEOUT_TYPE, str(error), "", spec.retry.wants(error))
        return self.failed(delivery, envelope, spec, info, now)

    def failed(
        self,
        delivery: Delivery,
        envelope: Envelope,
        spec: TaskSpec,
        info: ErrorInfo,
        now: float,
        *,
        after: float | None = None,
    ) -> Settlement:
        """The attempt failed: another one if the policy allows, else the dead letters."""
        attempts = delivery.counts.attempt + 1
        elapsed = now - (envelope.submitted_at if envelope.submitted_at is not None else now)
        policy = spec.retry
        delay = policy.next_delay(attempts, elapsed, self.rng, after=after) if info.retryable else None
        if delay is None:
            reason = info.message or info.type
            if info.retryable and policy is not NO_RETRY:
                reason = f"gave up after {attempts} attempts: {reason}"
            return self.dead(delivery, envelope, spec, reason, info, now)
        event = self.writer.event(
            EventKind.RETRIED, now, envelope.id, delivery.counts.attempt, error=info.type, after=delay
        )
        return Retry(delivery, delay, info, event)

    def cancelled(self, delivery: Delivery, envelope: Envelope, now: float, *, by: str = "by request") -> Complete:
        """The task was cancelled while it ran."""
        event = self.writer.event(EventKind.CANCELLED, now, envelope.id, delivery.counts.attempt)
        return Complete(delivery, cancelled_result(envelope.id, now, envelope.result_ttl, by), (), event)

    def released(
        self, delivery: Delivery, envelope: Envelope | Unreadable, after: float, reason: str, now: float
    ) -> Release:
        """Hand it back."""
        event = self.writer.event(
            EventKind.RELEASED, now, envelope.id, delivery.counts.attempt, after=after, reason=reason
        )
        return Release(delivery, after, event)

    def dead(
        self,
        delivery: Delivery,
        envelope: Envelope | Unreadable,
        spec: TaskSpec | None,
        reason: str,
        info: ErrorInfo,
        now: float,
    ) -> Dead:
        """Failed for good."""
        ttl = spec.result_ttl if spec is not None else RESULT_TTL
        if isinstance(envelope, Envelope) and envelope.result_ttl is not None:
            ttl = envelope.result_ttl
        result = Result(envelope.id, Outcome.FAILED, b"", CBOR, info, now, ttl)
        event = self.writer.event(
            EventKind.DEAD, now, envelope.id, delivery.counts.attempt, reason=reason[:200], error=info.type
        )
        return Dead(delivery, reason, info, result, (), event)

    def discarded(self, settlement: Settlement, now: float, reason: str) -> bytes:
        """The event that says an outcome came too late and was thrown away."""
        delivery = settlement.delivery
        return self.writer.event(EventKind.DISCARDED, now, delivery.envelope.id, delivery.counts.attempt, reason=reason)


def cancelled_result(task_id: TaskId, now: float, ttl: float | None = None, by: str = "by request") -> Result:
    """Return the Result of a cancelled task."""
    info = ErrorInfo(asyncio.CancelledError.__qualname__, f"cancelled {by}")
    return Result(task_id, Outcome.CANCELLED, b"", CBOR, info, now, RESULT_TTL if ttl is None else ttl)
