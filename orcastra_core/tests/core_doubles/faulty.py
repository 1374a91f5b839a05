"""A real broker whose calls fail when told to: before they took effect, or after, with the reply lost."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar

from orcastra_core.interfaces.broker import Broker
from orcastra_core.interfaces.session import Session
from orcastra_core.model.delivery import Delivery, Receipt, Want
from orcastra_core.model.envelope import Envelope
from orcastra_core.model.errors import BrokerUnavailable
from orcastra_core.model.names import QueueName, SessionId
from orcastra_core.model.profile import Profile
from orcastra_core.model.published import Published, Unknown
from orcastra_core.model.queue import QueueDepth, QueueSpec
from orcastra_core.model.session import Signal, Swept
from orcastra_core.model.settlement import Settled, Settlement
from orcastra_core.model.task_state import Cancellation, Cancelled, TaskState

T = TypeVar("T")


class FaultyBroker(Broker):
    """Delegates everything; ``fail`` arms faults, ``calls``, ``batches``, ``limits`` and ``settles`` tell what was asked."""

    def __init__(self, broker: Broker) -> None:
        self.real = broker
        self.calls: list[str] = []
        self.batches: list[int] = []
        self.limits: list[int] = []
        self.settles: list[tuple[SessionId, int, Sequence[Settlement]]] = []
        self.gate: asyncio.Event | None = None
        self._faults: dict[str, list[str]] = {}
        self.scheduler = broker.scheduler
        self.results = broker.results
        self.dead_letters = broker.dead_letters
        self.events = broker.events

    def fail(self, method: str, times: int, *, effect: str = "before") -> None:
        """Have the next calls of ``method`` end in BrokerUnavailable, ``before`` or ``after`` they took effect."""
        self._faults.setdefault(method, []).extend([effect] * times)

    @property
    def faults_left(self) -> int:
        """Faults that were armed and have not happened yet."""
        return sum(map(len, self._faults.values()))

    async def call(self, method: str, real: Callable[[], Awaitable[T]]) -> T:
        """Make a call, or fail it."""
        self.calls.append(method)
        if self.gate is not None and method == "publish":
            await self.gate.wait()
        fault = self._faults[method].pop(0) if self._faults.get(method) else None
        if fault == "before":
            raise BrokerUnavailable(f"{method}: the request was lost")
        answer = await real()
        if fault == "after":
            raise BrokerUnavailable(f"{method}: the reply was lost")
        return answer

    async def open(self) -> Profile:
        return await self.call("open", self.real.open)

    async def close(self) -> None:
        await self.real.close()

    async def declare(self, queues: Sequence[QueueSpec], /) -> None:
        await self.real.declare(queues)

    async def publish(self, batch: Sequence[Envelope], /, *, events: Sequence[bytes] = ()) -> Sequence[Published]:
        self.batches.append(len(batch))
        try:
            return await self.call("publish", lambda: self.real.publish(batch, events=events))
        except BrokerUnavailable as error:
            return [Unknown(error)] * len(batch)

    async def open_session(self, queues: Sequence[QueueName], /, *, lease: float) -> Session:
        session = await self.call("open_session", lambda: self.real.open_session(queues, lease=lease))
        return FaultySession(self, session)

    async def sweep(self, *, limit: int) -> Swept:
        return await self.call("sweep", lambda: self.real.sweep(limit=limit))

    async def expire(self, session: SessionId, /) -> int:
        return await self.real.expire(session)

    async def cancel(self, batch: Sequence[Cancellation], /) -> Sequence[Cancelled]:
        return await self.real.cancel(batch)

    async def find(self, ids: Sequence[Any], /) -> Sequence[TaskState | None]:
        return await self.real.find(ids)

    async def inspect(self, queues: Sequence[QueueName] | None = None, /) -> Sequence[QueueDepth]:
        return await self.real.inspect(queues)


class FaultySession(Session):
    """A session of a FaultyBroker."""

    def __init__(self, broker: FaultyBroker, session: Session) -> None:
        self.real = session
        self.id = session.id
        self.lease = session.lease
        self._broker = broker

    async def fetch(self, want: Want, /, *, wait: float) -> Sequence[Delivery]:
        self._broker.limits.append(want.limit)
        unseen: list[Receipt] = []

        async def take() -> Sequence[Delivery]:
            taken = await self.real.fetch(want, wait=wait)
            unseen.extend(delivery.receipt for delivery in taken)
            return taken

        try:
            return await self._broker.call("fetch", take)
        except BrokerUnavailable:
            # the contract: what was taken and never seen is handed out by the next fetch
            self.real.disown(unseen)
            raise

    async def settle(self, batch: Sequence[Settlement], /, *, number: int) -> Sequence[Settled]:
        self._broker.settles.append((self.id, number, tuple(batch)))
        return await self._broker.call("settle", lambda: self.real.settle(batch, number=number))

    async def signals(self, *, wait: float) -> Sequence[Signal]:
        return await self._broker.call("signals", lambda: self.real.signals(wait=wait))

    async def held(self) -> Sequence[Receipt]:
        return await self.real.held()

    def disown(self, receipts: Sequence[Receipt], /) -> None:
        self.real.disown(receipts)

    async def leave(self) -> None:
        await self.real.leave()
