"""Masters that are lost for good: what their replicas have, and what they were made to wait for."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from redis_rig import QUEUE, Open, Shop, at_work, completions, insisted, make, names, until, want

from orcastra_core.model.errors import BrokerTimeout, BrokerUnavailable
from orcastra_core.model.ids import TaskId
from orcastra_core.model.profile import Durability
from orcastra_core.model.published import STORED, Duplicate, Unknown
from orcastra_core.model.task_state import State
from orcastra_redis.conformance_sentinels import Sentinels
from orcastra_redis.conformance_servers import Ground


@pytest.fixture
async def sentinels(ground: Ground) -> AsyncIterator[Sentinels]:
    setup = Sentinels(ground, down_after=2.0)
    await setup.start()
    yield setup
    for server in (*setup.servers, setup.sentinel):
        server.kill()


@pytest.mark.timeout(120)
@pytest.mark.parametrize("wait", [1, 0])
async def test_a_master_lost_amid_work(sentinels: Sentinels, wait: int) -> None:
    shop = Shop(sentinels.url("orcastra") + f"&timeout=2&connect_timeout=2&wait_replicas={wait}", seconds=0.002)
    async with shop.app, at_work(shop.app, lease=5.0):

        async def submit() -> None:
            for first in range(0, 4000, 100):
                await shop.submit(range(first, first + 100))

        async with asyncio.TaskGroup() as group:
            submitting = group.create_task(submit())
            await until(lambda: len(shop.ran) > 500, "the worker works")
            master, replica = sentinels.servers
            master.kill()  # whatever had not reached the replica is gone
            await until(lambda: names(sentinels, replica), "the sentinel has seen it", seconds=20)
            await master.start()
            async with master.client() as client:
                await client.replicaof(*replica.address)
            await submitting

        async def found() -> list[State | None]:
            ids = [TaskId(one) for one in sorted(shop.stored)]
            return [None if one is None else one.state for one in await insisted(lambda: shop.app.broker.find(ids))]

        async def over() -> bool:
            return set(await found()) <= {State.FINISHED, None}

        await until(over, "all that is known has ended", seconds=30)
        lost = (await found()).count(None)
        counted = await insisted(lambda: completions(shop.app.broker))
    print(f"wait_replicas={wait}: {lost} of {len(shop.stored)} that were confirmed are lost")
    assert len(shop.stored) > 3000
    assert set(counted.values()) == {1}
    if wait:
        assert not lost
        assert shop.stored <= set(counted)


async def test_what_no_replica_has_is_not_confirmed(sentinels: Sentinels, opened: Open) -> None:
    broker = await opened(sentinels.url("orcastra") + "&timeout=1&wait_replicas=1")
    assert (await broker.open()).durability is Durability.REPLICATED
    session = await broker.open_session([QUEUE], lease=5.0)
    envelope = make.envelope()
    async with sentinels.servers[1].paused():
        (answer,) = await broker.publish([envelope])
        assert isinstance(answer, Unknown)
        assert isinstance(answer.error, BrokerTimeout)
        assert "0 replicas have it, not 1" in str(answer.error)
        with pytest.raises(BrokerTimeout):
            await session.fetch(want(1), wait=0)
    assert await broker.publish([envelope]) in ([STORED], [Duplicate(envelope.id)])
    got = await session.fetch(want(1), wait=1.0)
    assert [one.envelope.id for one in got] == [envelope.id], "what the fetch did was found again"


async def test_without_a_replica_it_does_not_open(ground: Ground, opened: Open) -> None:
    server = await ground.server()
    try:
        with pytest.raises(BrokerUnavailable, match="0 replicas have it, not 1"):
            await opened(f"{server.url}?wait_replicas=1&timeout=1")
    finally:
        server.kill()
