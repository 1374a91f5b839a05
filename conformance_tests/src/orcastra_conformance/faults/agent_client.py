"""A client of the domain in another process, as the broker and the sessions that it is."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

from orcastra_conformance.faults.agent_frames import Granted
from orcastra_core.interfaces.broker import Broker
from orcastra_core.interfaces.session import Session
from orcastra_core.model.delivery import Delivery, Receipt, Want
from orcastra_core.model.envelope import Envelope
from orcastra_core.model.names import QueueName, SessionId
from orcastra_core.model.profile import Profile
from orcastra_core.model.published import Published
from orcastra_core.model.queue import QueueSpec
from orcastra_core.model.session import Signal, Swept
from orcastra_core.model.settlement import Settled, Settlement
from orcastra_core.model.task_state import Cancellation, Cancelled

Ask: TypeAlias = "Callable[..., asyncio.Future[Any]]"
"""Sends a call (target, method, arguments) and returns the future of its answer."""


class FarBroker(Broker):
    """An agent's client. It offers what mishap needs of another process; for the rest a case has clients of its own."""

    def __init__(self, ask: Ask, profile: Profile) -> None:
        self._ask = ask
        self._profile = profile

    async def open(self) -> Profile:
        return self._profile

    async def close(self) -> None:
        await self._ask("broker", "close")

    async def declare(self, queues: Sequence[QueueSpec], /) -> None:
        await self._ask("broker", "declare", list(queues))

    async def publish(self, batch: Sequence[Envelope], /, *, events: Sequence[bytes] = ()) -> Sequence[Published]:
        answers: Sequence[Published] = await self._ask("broker", "publish", list(batch), events=list(events))
        return answers

    async def open_session(self, queues: Sequence[QueueName], /, *, lease: float) -> Session:
        granted: Granted = await self._ask("broker", "open_session", list(queues), lease=lease)
        return FarSession(self._ask, SessionId(granted.id), granted.lease)

    async def sweep(self, *, limit: int) -> Swept:
        swept: Swept = await self._ask("broker", "sweep", limit=limit)
        return swept

    async def expire(self, session: SessionId, /) -> int:
        number: int = await self._ask("broker", "expire", session)
        return number

    async def beat(self, session: SessionId, /) -> bool:
        alive: bool = await self._ask("broker", "beat", session)
        return alive

    async def cancel(self, batch: Sequence[Cancellation], /) -> Sequence[Cancelled]:
        answers: Sequence[Cancelled] = await self._ask("broker", "cancel", list(batch))
        return answers


class FarSession(Session):
    """A session that an agent opened. Calls of one method are made one after another, in the order in which they were sent."""

    def __init__(self, ask: Ask, session_id: SessionId, lease: float) -> None:
        self.id = session_id
        self.lease = lease
        self._ask = ask

    async def fetch(self, want: Want, /, *, wait: float) -> Sequence[Delivery]:
        deliveries: Sequence[Delivery] = await self._ask(self.id, "fetch", want, wait=wait)
        return deliveries

    async def settle(self, batch: Sequence[Settlement], /, *, number: int) -> Sequence[Settled]:
        answers: Sequence[Settled] = await self._ask(self.id, "settle", list(batch), number=number)
        return answers

    async def signals(self, *, wait: float) -> Sequence[Signal]:
        signals: Sequence[Signal] = await self._ask(self.id, "signals", wait=wait)
        return signals

    async def held(self) -> Sequence[Receipt]:
        receipts: Sequence[Receipt] = await self._ask(self.id, "held")
        return receipts

    def disown(self, receipts: Sequence[Receipt], /) -> None:
        # nobody waits for the answer, but it is there before the next fetch
        self._ask(self.id, "disown", list(receipts)).add_done_callback(
            lambda said: said.cancelled() or said.exception()
        )

    async def leave(self) -> None:
        await self._ask(self.id, "leave")
