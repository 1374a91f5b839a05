"""A worker's claim to be alive, and its reading end."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar

from orcastra_core.interfaces.transaction import SettlingTransaction
from orcastra_core.model.delivery import Delivery, Receipt, Want
from orcastra_core.model.errors import Unsupported
from orcastra_core.model.names import SessionId
from orcastra_core.model.profile import Cap
from orcastra_core.model.session import Signal
from orcastra_core.model.settlement import Settled, Settlement


class Session(ABC):
    """A worker's claim to be alive and its reading end.

    From ``open_session`` to ``leave`` it beats without the caller's event
    loop: code that blocks the loop, or holds the GIL for less than a lease,
    does not end it. Nothing renews single deliveries: they stand and fall with
    the session, and may be held for days.

    A session that missed its beats has merely lapsed; its next beat revives
    it. Only the reap fences it: ``fetch`` then raises SessionFenced, ``settle``
    answers STALE for every item, ``signals`` yields Fenced, ``held`` is empty.

    ``fetch``, ``settle`` and ``signals`` may run concurrently with one another;
    each of them is called by one task at a time.
    """

    remote: ClassVar[bool] = True
    """Whether the store works in a process of its own: the runtime then asks for half of its free
    slots at a time, so that the store looks for the one half while the other one runs."""

    id: SessionId
    """Granted by the backend; never reused in the domain."""

    lease: float
    """Seconds of silence after which it counts as lapsed; granted by the backend."""

    @abstractmethod
    async def fetch(self, want: Want, /, *, wait: float) -> Sequence[Delivery]:
        """Take over deliveries.

        At most ``want.limit`` in all and n of each queue; the sequence of
        queues is the precedence, higher priorities first within a queue, publish order
        within a priority (to the letter only where Cap.ORDERED_QUEUE is claimed). Nothing is prefetched beyond what is returned. Waits only
        while all of the queues are empty (or paused), returns with the first
        delivery, and with ``[]`` after ``wait`` seconds. ``wait=0`` answers at once.
        May return early and empty. Queues that were not named to ``open_session`` are fine.

        Nothing is stranded: after a fetch that raised or was cancelled, the
        next one first hands out what the store says this session holds and its
        caller never saw. A fetch that was given up has no effect any more once the
        next one has begun, also if its request was still on its way.

        Raises:
            SessionFenced: The session was reaped.
            BrokerUnavailable, BrokerTimeout: Retryable; the session lives on.
            BrokerClosed: After ``leave`` or ``Broker.close``.
        """

    @abstractmethod
    async def settle(self, batch: Sequence[Settlement], /, *, number: int) -> Sequence[Settled]:
        """Settle deliveries of this session: Done, STALE or Failed for each.

        Each item is atomic: the delivery ends, its result is stored and
        pushed, its events are appended and its ``emit`` is published, together
        or not at all (without Cap.ATOMIC_SETTLE: in an order that loses nothing).
        An item whose delivery this session does not hold (any more) is STALE and
        has no effect whatever; so is the second settlement of one delivery in a batch.
        Emitted envelopes follow the rules of ``publish``; ``Done.emitted`` is aligned with them.

        After a reap every item is STALE, also a repeat of what took effect before it.

        Calls are numbered. After a call that raised or was cancelled the
        caller repeats it, same number and same batch: if it had taken effect it
        gets the answer of the first, not STALE. The store keeps the answers of the
        last ``limits.settle_window`` numbers, as durably as the effects. A number that
        is neither new nor kept answers STALE and has no effect. Empty batches are not sent.

        Args:
            batch: At most ``limits.max_batch`` settlements; a Result is of the task it settles.
            number: From 1, one more with each new batch of this session.

        Raises:
            BrokerUnavailable, BrokerTimeout, StoreFull: Retryable, with the same number.
            BrokerClosed: After ``leave`` or ``Broker.close``.
        """

    async def transaction(self, delivery: Delivery, /) -> SettlingTransaction:
        """Begin a transaction that ``delivery`` is to be settled in. Cap.TX_COMPLETE.

        At most one at a time for a delivery. Transactions are dear (a connection each): those who find
        none free wait for one, in turn.

        Raises:
            SessionFenced: The session was reaped.
            InvalidOption: The session does not hold this delivery.
            BrokerUnavailable, BrokerTimeout: None could be begun; nothing is held.
            BrokerClosed: After ``leave`` or ``Broker.close``.
        """
        raise Unsupported(Cap.TX_COMPLETE)

    @abstractmethod
    async def signals(self, *, wait: float) -> Sequence[Signal]:
        """Return what the store has to tell, waiting up to ``wait`` seconds for the first.

        CancelTask is repeated until the task is settled or the caller has
        seen it; Fenced ends every later call at once. Raises like ``fetch``, but for SessionFenced.
        """

    @abstractmethod
    async def held(self) -> Sequence[Receipt]:
        """Return the receipts of all that the store says this session holds."""

    @abstractmethod
    def disown(self, receipts: Sequence[Receipt], /) -> None:
        """Say that the caller has none of these: the next fetch hands them out again.

        For what ``held`` lists and nobody runs. Local and immediate; receipts not held are ignored.
        """

    @abstractmethod
    async def leave(self) -> None:
        """Release what is unsettled (``released`` + 1) and end the session.

        Idempotent; does not fail because the server is gone: then the session lapses.
        """
