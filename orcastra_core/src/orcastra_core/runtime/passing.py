"""A session that another one stands behind."""

from __future__ import annotations

from collections.abc import Sequence

from orcastra_core.interfaces.session import Session
from orcastra_core.interfaces.transaction import SettlingTransaction
from orcastra_core.model.delivery import Delivery, Receipt, Want
from orcastra_core.model.session import Signal
from orcastra_core.model.settlement import Settled, Settlement


class PassingSession(Session):
    """Passes every call on; what is to be done otherwise a subclass overrides.

    Args:
        session: The one behind it.
    """

    def __init__(self, session: Session) -> None:
        self.id = session.id
        self.lease = session.lease
        self._session = session

    async def fetch(self, want: Want, /, *, wait: float) -> Sequence[Delivery]:
        return await self._session.fetch(want, wait=wait)

    async def settle(self, batch: Sequence[Settlement], /, *, number: int) -> Sequence[Settled]:
        return await self._session.settle(batch, number=number)

    async def transaction(self, delivery: Delivery, /) -> SettlingTransaction:
        return await self._session.transaction(delivery)

    async def signals(self, *, wait: float) -> Sequence[Signal]:
        return await self._session.signals(wait=wait)

    async def held(self) -> Sequence[Receipt]:
        return await self._session.held()

    def disown(self, receipts: Sequence[Receipt], /) -> None:
        self._session.disown(receipts)

    async def leave(self) -> None:
        await self._session.leave()
