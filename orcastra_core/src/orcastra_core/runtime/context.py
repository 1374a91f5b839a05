"""The task that is running."""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar

from orcastra_core.model.delivery import Delivery
from orcastra_core.model.envelope import Envelope
from orcastra_core.model.ids import TaskId
from orcastra_core.model.names import TaskName

_current: ContextVar[Context] = ContextVar("orcastra_context")


class Context:
    """The running attempt of a task, as the task sees it. Readable from its threads.

    Attributes:
        id: The task's id.
        task: Its registered name.
        attempt: Which attempt this is, from 1.
        cancelled: Whether it should stop: it was cancelled, timed out, or its
            session was reaped. A synchronous task has to look at it; an
            asynchronous one gets CancelledError as well.
    """

    __slots__ = ("_emit", "attempt", "cancelled", "envelope")

    def __init__(self, delivery: Delivery, envelope: Envelope) -> None:
        self.envelope: Envelope = envelope
        self.attempt: int = delivery.counts.attempt + 1
        self.cancelled: bool = False
        self._emit: list[Envelope] | None = None

    @property
    def id(self) -> TaskId:
        return self.envelope.id

    @property
    def task(self) -> TaskName:
        return self.envelope.task

    def follow_up(self, make: Callable[[int], Envelope]) -> Envelope:
        """Submit an envelope with this task's settlement: with it or not at all.

        Args:
            make: From the position among this attempt's follow-ups to the envelope.
        """
        if self._emit is None:
            self._emit = []
        envelope = make(len(self._emit))
        self._emit.append(envelope)
        return envelope

    @property
    def emit(self) -> tuple[Envelope, ...]:
        """The follow-ups so far."""
        return tuple(self._emit) if self._emit else ()


def current_context() -> Context | None:
    """Return the context of the task that is running here, or None."""
    return _current.get(None)


def enter(context: Context) -> None:
    """Make ``context`` the current one, for the rest of this asyncio task or thread context."""
    _current.set(context)
