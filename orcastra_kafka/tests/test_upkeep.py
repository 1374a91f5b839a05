"""What is done goes from the logs of queues, up to the first task that is not; and old events."""

from __future__ import annotations

import uuid

import pytest
from kafka_rig import Open
from server_rig import QUEUE, make, want

from orcastra_core.interfaces.session import Session
from orcastra_core.model.delivery import Delivery
from orcastra_core.model.event import EventKind
from orcastra_core.model.published import STORED
from orcastra_core.model.settlement import Done
from orcastra_kafka import upkeep
from orcastra_kafka.conformance_servers import Server
from orcastra_kafka.lag import QueueLag, lag_of
from orcastra_kafka.upkeep import trim

LANES = ["lane=share", "lane=classic", "lane=classic&transactions=1"]


async def fetched(session: Session, number: int) -> list[Delivery]:
    found: list[Delivery] = []
    while len(found) < number:
        found += await session.fetch(want(number - len(found)), wait=5.0)
    return found


@pytest.mark.timeout(60)
@pytest.mark.parametrize("lane", LANES)
async def test_what_is_done_is_cut_off(shared: Server, opened: Open, lane: str) -> None:
    broker = await opened(f"{shared.url}/?{lane}&levels=1&partitions=1&domain=d-{uuid.uuid4().hex}")
    core = broker._open_core()
    assert await trim(core) == 0
    envelopes = [make.envelope() for _ in range(50)]
    assert set(await broker.publish(envelopes)) == {STORED}
    assert await trim(core) == 0, "nobody has begun"
    session = await broker.open_session([QUEUE], lease=5.0)
    held = {delivery.envelope.id: delivery for delivery in await fetched(session, 50)}
    assert await trim(core) == 0, "all of it runs"
    slow = held.pop(envelopes[30].id)
    assert set(map(type, await session.settle([make.complete(one) for one in held.values()], number=1))) == {Done}
    cut = await trim(core)
    assert cut in ((0, 30) if lane == "lane=share" else (30,)), (
        "a share group's start is written down with its next change"
    )
    assert await session.settle([make.complete(slow)], number=2) == [Done()], "what runs is not touched"
    cut += await trim(core)
    assert cut >= 30
    late = make.envelope()
    assert await broker.publish([late]) == [STORED]
    (delivery,) = await fetched(session, 1)
    assert delivery.envelope.id == late.id
    assert await session.settle([make.complete(delivery)], number=3) == [Done()]
    cut += await trim(core)
    assert cut >= 50
    assert await lag_of(core) == [QueueLag(QUEUE, {"normal": 0})]
    await session.leave()


@pytest.mark.timeout(60)
async def test_old_events_go(shared: Server, opened: Open) -> None:
    broker = await opened(f"{shared.url}/?events_max=10&levels=1&domain=d-{uuid.uuid4().hex}")
    for _ in range(15):
        await broker.events.append([make.event(EventKind.SUBMITTED)])
    before = list(await broker.events.read())
    await trim(broker._open_core())
    assert list(await broker.events.read()) == before[5:]


@pytest.mark.timeout(60)
async def test_sweeping_tends_to_it_now_and_then(shared: Server, opened: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    url = f"{shared.url}/?events_max=0&levels=1&domain=d-{uuid.uuid4().hex}"
    broker = await opened(url)
    await broker.events.append([make.event(EventKind.SUBMITTED)])
    await broker.sweep(limit=10)
    assert await broker.events.read(), "not at once"
    monkeypatch.setattr(upkeep, "_EVERY", 0.0)
    other = await opened(url)
    await other.sweep(limit=10)
    assert not await broker.events.read()
