"""A transaction of the store that a task writes in and is settled in."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

from orcastra_core.model.settlement import Settled, Settlement


class SettlingTransaction(ABC):
    """A transaction in which one delivery is settled, with the rows that its task writes there. Cap.TX_COMPLETE.

    Begun by ``Session.transaction``. It ends by ``settle`` or ``abandon``, and with its session. What is called once more
    after that answers, or raises, the same: ``abandon`` changes nothing where it is settled, and ``settle`` raises
    TransactionRolledBack where it was abandoned. While it is open the delivery stays with its session, and may be reaped
    like any other: what fences a delivery fences its transaction.
    """

    connection: Any
    """The store's own client connection, inside the open transaction. The task writes through it, one
    statement at a time, and neither commits nor rolls back. Where Cap.TX_PUBLISH is claimed, ``publish_within`` takes it."""

    @abstractmethod
    async def settle(self, settlement: Settlement, /) -> Settled:
        """Settle the delivery in this transaction, and commit.

        Done: the settlement took effect and the rows are there, as durably as
        ``Profile.durability`` says. STALE, or Failed: neither the settlement nor a row is there.

        Not numbered: after a call that raised BrokerUnavailable or BrokerTimeout, a repeat asks the
        store what became of the commit, and answers or raises as the first should have.

        Raises:
            TransactionRolledBack: It did not commit: no row is there, and the delivery is still held. Retryable
                if that was none of the task's doing: its connection was lost, or another transaction came
                first; not if one of its rows broke a constraint.
            BrokerUnavailable, BrokerTimeout: What became of the commit is not known yet: call again.
            BrokerClosed: After ``leave`` or ``Broker.close``.
        """

    @abstractmethod
    async def abandon(self) -> None:
        """Roll the rows back and let the delivery be: it is still held, to be settled as ever.

        Idempotent; does not fail because the server is gone: then the server rolls back.
        """
