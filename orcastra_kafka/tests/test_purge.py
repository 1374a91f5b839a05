"""A purge takes what waits by then, and nothing else: not what runs, not what is published meanwhile."""

from __future__ import annotations

import asyncio
import uuid
from contextlib import suppress

import pytest
from kafka_rig import Open
from server_rig import QUEUE, make, want

from orcastra_core.interfaces.session import Session
from orcastra_core.model.delivery import Delivery
from orcastra_core.model.errors import BrokerClosed, InvalidOption, Unsupported
from orcastra_core.model.names import QueueName
from orcastra_core.model.profile import Cap
from orcastra_core.model.published import STORED
from orcastra_core.model.settlement import Done
from orcastra_core.model.task_state import State
from orcastra_kafka.conformance_servers import Server


def url(server: Server, more: str = "levels=1") -> str:
    return f"{server.url}/?{more}&domain=d-{uuid.uuid4().hex}"


async def all_of(session: Session) -> list[Delivery]:
    """Take all there is."""
    found: list[Delivery] = []
    while some := await session.fetch(want(1000), wait=1.0):
        found += some
    return found


@pytest.mark.timeout(120)
async def test_what_waits_of_every_level_is_gone_and_what_runs_goes_on(shared: Server, opened: Open) -> None:
    broker = await opened(url(shared, "levels=3"))
    session = await broker.open_session([QUEUE], lease=5.0)
    assert set(await broker.publish([make.envelope() for _ in range(5)])) == {STORED}
    running = list(await session.fetch(want(5), wait=5.0))
    assert len(running) == 5
    for priority in (-1, 0, 1):
        assert set(await broker.publish([make.envelope(priority=priority) for _ in range(700)])) == {STORED}
    assert await broker.publish([make.envelope("other")]) == [STORED]
    assert await broker.purge(QUEUE) == 2100
    assert await broker.purge(QUEUE) == 0
    assert await all_of(session) == []
    answers = await session.settle([make.complete(delivery) for delivery in running], number=1)
    assert all(isinstance(answer, Done) for answer in answers), "what ran is still held"
    await session.leave()
    assert await broker.purge(QueueName("other")) == 1


@pytest.mark.timeout(120)
async def test_what_is_published_meanwhile_stays(shared: Server, opened: Open) -> None:
    where = url(shared)
    broker, other = await opened(where), await opened(where)
    assert set(await broker.publish([make.envelope() for _ in range(1000)])) == {STORED}
    late: list[str] = []

    async def publish() -> None:
        while not purging.done():
            envelopes = [make.envelope() for _ in range(20)]
            assert set(await other.publish(envelopes)) == {STORED}
            late.extend(envelope.id for envelope in envelopes)

    purging = asyncio.create_task(broker.purge(QUEUE))
    publishing = asyncio.create_task(publish())
    gone = await purging
    await publishing
    session = await broker.open_session([QUEUE], lease=5.0)
    left = await all_of(session)
    assert gone >= 1000
    assert gone + len(left) == 1000 + len(late), "each is either forgotten or there, once"
    assert {delivery.envelope.id for delivery in left} <= set(late)
    assert {delivery.counts.lost for delivery in left} <= {0}, "nobody died with it"
    await session.leave()


@pytest.mark.timeout(60)
async def test_by_state(shared: Server, opened: Open) -> None:
    broker = await opened(url(shared))
    session = await broker.open_session([QUEUE], lease=5.0)
    assert set(await broker.publish([make.envelope() for _ in range(3)])) == {STORED}
    dying = list(await session.fetch(want(2), wait=5.0))
    assert all(isinstance(one, Done) for one in await session.settle([make.dead(one) for one in dying], number=1))
    with pytest.raises(InvalidOption, match="only ready, delayed and dead"):
        await broker.purge(QUEUE, states=frozenset({State.RUNNING}))
    assert await broker.purge(QueueName("other"), states=frozenset({State.DEAD})) == 0
    assert await broker.purge(QUEUE, states=frozenset({State.DEAD})) == len(dying)
    assert await broker.dead_letters.page() == []
    assert len(await all_of(session)) == 3 - len(dying)
    await session.leave()


@pytest.mark.timeout(60)
async def test_a_queue_that_nobody_ever_had(shared: Server, opened: Open) -> None:
    broker = await opened(url(shared))
    assert await broker.purge(QUEUE) == 0
    core = broker._open_core()
    assert not [name for name in (await core.cluster.metadata(None)).topics if name.startswith(core.names.prefix)]


@pytest.mark.timeout(60)
async def test_the_classic_lane_refuses(shared: Server, opened: Open) -> None:
    broker = await opened(url(shared, "lane=classic"))
    with pytest.raises(Unsupported) as refused:
        await broker.purge(QUEUE)
    assert refused.value.cap is Cap.PURGE


@pytest.mark.timeout(60)
async def test_a_broker_that_is_closed_in_the_middle(shared: Server, opened: Open) -> None:
    where = url(shared)
    broker = await opened(where)
    for _ in range(4):
        assert set(await broker.publish([make.envelope() for _ in range(1000)])) == {STORED}
    for share_of_a_second in (0.0, 0.05, 0.2, 0.4):
        broker = await opened(where)
        purging = asyncio.create_task(broker.purge(QUEUE))
        with suppress(TimeoutError):
            async with asyncio.timeout(share_of_a_second):
                await asyncio.shield(purging)
        if not purging.done():
            async with asyncio.timeout(2):
                await broker.close()
            with pytest.raises(BrokerClosed):
                await purging
        assert not [task for task in asyncio.all_tasks() if task.get_name().startswith(("share-", "kafka-purge"))]
