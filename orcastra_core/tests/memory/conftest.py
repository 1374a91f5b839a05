"""What the memory tests share: a broker of their own store on a clock that stands still."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable

import pytest

from orcastra_conformance.clock import VirtualClock
from orcastra_core.backends.memory import MemoryBroker
from orcastra_core.interfaces.session import Session
from orcastra_core.model.broker_url import BrokerUrl
from orcastra_core.model.delivery import Delivery, Want
from orcastra_core.model.envelope import Envelope
from orcastra_core.model.ids import IdFactory
from orcastra_core.model.names import QueueName, TaskName
from orcastra_core.model.result import Outcome, Result
from orcastra_core.model.settlement import Complete

Q = QueueName("q")
new_id = IdFactory()


def envelope(**fields: object) -> Envelope:
    return Envelope(new_id(), Q, TaskName("t"), b"\x80", **fields)  # type: ignore[arg-type]


def complete(delivery: Delivery, value: bytes = b"\x01", *, ttl: float = 3600.0) -> Complete:
    return Complete(delivery, Result(delivery.envelope.id, Outcome.COMPLETED, value, ttl=ttl))


async def take(session: Session, most: int = 100) -> list[Delivery]:
    return list(await session.fetch(Want(most, [(Q, most)]), wait=0))


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock()


@pytest.fixture
async def broker(clock: VirtualClock) -> AsyncIterator[MemoryBroker]:
    broker = MemoryBroker(BrokerUrl.parse("memory://"), clock=clock)
    await broker.open()
    yield broker
    await broker.close()


@pytest.fixture
def make(clock: VirtualClock) -> Callable[[str], MemoryBroker]:
    return lambda url: MemoryBroker(BrokerUrl.parse(url), clock=clock)
