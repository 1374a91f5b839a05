"""A session used as the runtime uses it: what a lost connection kept from being answered is asked again."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from orcastra_conformance.engine.trial import Trial
from orcastra_conformance.faults.patience import again
from orcastra_core.interfaces.session import Session
from orcastra_core.model.delivery import Delivery, Receipt, Want
from orcastra_core.model.session import Signal
from orcastra_core.model.settlement import Settled, Settlement


class Patient(Session):
    """Repeats each call until it is answered, a settle under the same number, for as long as ``patience`` lasts.

    For all that a case does after a fault: a broker may have connections beside the one that failed,
    and find out one by one that they are gone.
    """

    def __init__(self, trial: Trial, session: Session) -> None:
        self.id = session.id
        self.lease = session.lease
        self._trial = trial
        self._session = session

    async def fetch(self, want: Want, /, *, wait: float) -> Sequence[Delivery]:
        return await again(self._trial, partial(self._session.fetch, want, wait=wait), "fetch")

    async def settle(self, batch: Sequence[Settlement], /, *, number: int) -> Sequence[Settled]:
        return await again(self._trial, partial(self._session.settle, batch, number=number), "settle")

    async def signals(self, *, wait: float) -> Sequence[Signal]:
        return await again(self._trial, partial(self._session.signals, wait=wait), "signals")

    async def held(self) -> Sequence[Receipt]:
        return await again(self._trial, self._session.held, "held")

    def disown(self, receipts: Sequence[Receipt], /) -> None:
        self._session.disown(receipts)

    async def leave(self) -> None:
        await self._session.leave()
