"""Masters that are lost for good: what their replicas have, and what they were made to wait for."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from redis_rig import Open, names
from server_rig import QUEUE, Shop, at_work, completions, insisted, make, until, want

from orcastra_conformance.faults.proxy import before
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
            killed = asyncio.get_running_loop().time()
            master.kill()  # whatever had not reached the replica is gone
            await until(lambda: names(sentinels, replica), "the sentinel has seen it", seconds=20)
            await master.start()
            async with master.client() as client:
                await client.replicaof(*replica.address)
            await submitting

        lost = await lost_for_good(shop)
        counted = await insisted(lambda: completions(shop.app.broker))
    lag = max((killed - shop.told_at[one] for one in lost), default=0.0)
    print(f"wait_replicas={wait}: {len(lost)} of {len(shop.stored)} that were confirmed are lost, the last {lag:.3f} s")
    assert len(shop.stored) > 3000
    assert set(counted.values()) == {1}
    assert lag < 1.0, "what the replica lags behind, and no more"
    if wait:
        assert not lost
        assert shop.stored <= set(counted)


@pytest.mark.timeout(120)
@pytest.mark.parametrize("wait", [1, 0])
async def test_what_a_replica_lags_behind_is_what_may_be_lost(sentinels: Sentinels, wait: int) -> None:
    master, replica = sentinels.servers
    shop = Shop(sentinels.url("orcastra") + f"&timeout=2&connect_timeout=2&wait_replicas={wait}")
    async with before(master.address) as proxy:
        async with replica.client() as client:
            await client.replicaof(*proxy.address)
        await sentinels.in_step()
        async with shop.app, at_work(shop.app, lease=5.0):
            await shop.submit(range(500))
            await until(lambda: len(shop.ran) == 500, "the worker works")
            await sentinels.in_step()
            safe = set(shop.stored)
            proxy.hold()  # from now on the replica hears nothing, and says nothing
            async with asyncio.TaskGroup() as group:
                for first in range(500, 800, 100):
                    group.create_task(shop.submit(range(first, first + 100)))
                await asyncio.sleep(2.0)
                behind = shop.stored - safe
                master.kill()
                await until(lambda: names(sentinels, replica), "the sentinel has seen it", seconds=20)
                await master.start()
                async with master.client() as client:
                    await client.replicaof(*replica.address)
                    await until(lambda: linked(client), "the old master follows the new one")
                begun = asyncio.get_running_loop().time()
                group.create_task(shop.submit(range(800, 900)))
                await until(lambda: {*range(800, 900)} <= set(shop.ran), "work goes on", seconds=3.0)
                back = asyncio.get_running_loop().time() - begun
            lost = await lost_for_good(shop)
            counted = await insisted(lambda: completions(shop.app.broker))
    print(
        f"wait_replicas={wait}, the replica out of touch: {len(behind)} confirmed meanwhile, {len(lost)} of"
        f" {len(shop.stored)} lost; back at work {back:.2f} s after the failover"
    )
    assert len(safe) == 500
    assert lost == behind, "exactly what it did not have"
    assert len(behind) == (0 if wait else 300), "with wait_replicas nothing is confirmed that it does not have"
    assert len(shop.stored) == 900
    assert shop.stored - lost <= set(counted)
    assert set(counted.values()) == {1}


async def linked(client: Any) -> bool:
    """Whether a replica has the master's data."""
    facts = await client.info("replication")
    return bool(facts.get("master_link_status") == "up")


async def lost_for_good(shop: Shop) -> set[str]:
    """Wait until all that the store knows has ended; return what was confirmed and it does not know."""
    ids = [TaskId(one) for one in sorted(shop.stored)]
    lost: set[str] = set()

    async def over() -> bool:
        found = await insisted(lambda: shop.app.broker.find(ids))
        lost.clear()
        lost.update(one for one, there in zip(ids, found, strict=True) if there is None)
        return {there.state for there in found if there is not None} <= {State.FINISHED}

    await until(over, "all that is known has ended", seconds=30)
    return lost


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
