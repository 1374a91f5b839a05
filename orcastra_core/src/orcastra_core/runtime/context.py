"""The task that is running."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any

from orcastra_core.interfaces.session import Session
from orcastra_core.interfaces.transaction import SettlingTransaction
from orcastra_core.model.delivery import Delivery
from orcastra_core.model.envelope import Envelope
from orcastra_core.model.errors import Unsupported
from orcastra_core.model.ids import TaskId
from orcastra_core.model.names import TaskName
from orcastra_core.model.profile import Cap

_current: ContextVar[Context] = ContextVar("orcastra_context")


class Context:
    """The running attempt of a task, as the task sees it. Readable from its threads.

    Attributes:
        id: The task's id.
        task: Its registered name.
        attempt: Which attempt this is, from 1.
        settling: The transaction it asked for, if it did.
        cancelled: Whether it should stop: it was cancelled, timed out, or its
            session was reaped. A synchronous task has to look at it; an
            asynchronous one gets CancelledError as well.
    """

    __slots__ = ("_beginning", "_delivery", "_emit", "_session", "attempt", "cancelled", "envelope", "settling")

    def __init__(self, delivery: Delivery, envelope: Envelope, session: Session | None = None) -> None:
        self.envelope: Envelope = envelope
        self.attempt: int = delivery.counts.attempt + 1
        self.cancelled: bool = False
        self.settling: SettlingTransaction | None = None
        self._emit: list[Envelope] | None = None
        self._delivery = delivery
        self._session = session
        self._beginning: asyncio.Lock | None = None

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

    async def transaction(self) -> Any:
        """Return a connection of the broker's store, in the transaction that this task is settled in. Cap.TX_COMPLETE.

        What the task writes through it is committed with its result, in one step, when it returns; if it
        raises, runs out of time or was too late, nothing of it is there. So what it writes happens once, however
        often it runs. The connection is the store's own client's (asyncpg's for Postgres); do not commit. All
        calls of one attempt return the same one. Wait for its statements before you return.

        Raises:
            Unsupported: This broker has none, or the task does not run in the worker's event loop.
            BrokerError: None could be begun.
        """
        if self._session is None:
            raise Unsupported(Cap.TX_COMPLETE, "only asynchronous tasks in the worker's own process have one")
        if self._beginning is None:
            self._beginning = asyncio.Lock()
        async with self._beginning:
            if self.settling is None:
                self.settling = await self._session.transaction(self._delivery)
        return self.settling.connection

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
