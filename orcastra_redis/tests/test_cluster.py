"""A cluster that changes under its clients: slots that move, nodes that go."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from redis.cluster import key_slot  # type: ignore[attr-defined]
from redis_rig import Open
from server_rig import QUEUE, Shop, at_work, insisted, make, taken, until

from orcastra_core.model.errors import BrokerUnavailable
from orcastra_core.model.published import STORED, Duplicate, Unknown
from orcastra_core.model.settlement import Done
from orcastra_redis.conformance_servers import Ground, Server
from orcastra_redis.conformance_setups import Cluster, on_first
from orcastra_redis.settings import Settings


@pytest.fixture
async def cluster(ground: Ground) -> AsyncIterator[Cluster]:
    setup = Cluster(ground)
    await setup.start()
    yield setup
    for server in setup.servers:
        server.kill()


class Move:
    """The move of a domain's slot from its node to another.

    Attributes:
        slot: Its number.
    """

    def __init__(self, cluster: Cluster, domain: str) -> None:
        self.slot = key_slot(Settings(hosts=(("h", 1),), domain=on_first(domain)).prefix.encode())  # type: ignore[arg-type]
        self._from, self._to, self._other = cluster.servers

    async def begin(self) -> None:
        await self._set(self._to, "IMPORTING", await _id(self._from))
        await self._set(self._from, "MIGRATING", await _id(self._to))

    async def carry(self, most: int = 10_000) -> None:
        """Move keys."""
        async with self._from.client() as client:
            keys = await client.execute_command("CLUSTER", "GETKEYSINSLOT", self.slot, most)
            if keys:
                await client.execute_command("MIGRATE", *self._to.address, "", 0, 5000, "KEYS", *keys)

    async def end(self) -> None:
        for server in (self._to, self._from, self._other):
            await self._set(server, "NODE", await _id(self._to))

    async def _set(self, server: Server, what: str, node: str) -> None:
        async with server.client() as client:
            await client.execute_command("CLUSTER", "SETSLOT", self.slot, what, node)


async def _id(server: Server) -> str:
    async with server.client() as client:
        return str((await client.execute_command("CLUSTER", "MYID")).decode())


async def test_any_node_leads_to_the_domain(cluster: Cluster, opened: Open) -> None:
    envelope = make.envelope()
    for number, server in enumerate(cluster.servers):
        url = f"redis://127.0.0.1:{server.port}/?cluster=1&domain={on_first('d')}"
        broker = await opened(url)
        answers = await broker.publish([envelope])
        assert answers == ([STORED] if number == 0 else [Duplicate(envelope.id)]), "it is one domain"


async def test_while_a_slot_moves_nothing_is_done_by_halves(cluster: Cluster, opened: Open) -> None:
    broker = await opened(cluster.url("d"))
    session = await broker.open_session([QUEUE], lease=1.0)
    assert await broker.publish(make.envelopes(20)) == [STORED] * 20
    held = await taken(session, 5)
    move = Move(cluster, "d")
    await move.begin()
    for most in (0, 7, 10, 10_000):
        await move.carry(most)
        (answer,) = await broker.publish([make.envelope("another")])
        assert isinstance(answer, Unknown)
        assert isinstance(answer.error, BrokerUnavailable)
        assert "slot is being moved" in str(answer.error)
        with pytest.raises(BrokerUnavailable):
            await session.settle([make.complete(one) for one in held], number=1)
    await move.end()
    answers = await insisted(lambda: session.settle([make.complete(one) for one in held], number=1))
    assert answers == [Done()] * 5
    assert len(await session.held()) == 0
    rest = await taken(session, 15)
    assert await session.settle([make.complete(one) for one in rest], number=2) == [Done()] * 15
    assert [one.queue for one in await broker.inspect()] == ["q"]


async def test_workers_follow_the_domain(cluster: Cluster) -> None:
    shop = Shop(cluster.url("d"))
    async with shop.app, at_work(shop.app, lease=2.0):
        await shop.submit(range(100))
        await until(lambda: len(shop.ran) == 100, "the worker works")
        move = Move(cluster, "d")
        await move.begin()
        await move.carry()
        await move.end()
        await shop.submit(range(100, 200))
        await until(lambda: len(shop.ran) == 200, "it goes on at the other node")
        await shop.submit(range(200, 300))
        await until(lambda: len(shop.ran) == 300, "and is woken there")
    assert len(shop.stored) == 300
    assert set(shop.ran.values()) == {1}


async def test_a_node_that_does_not_have_the_domain_may_go(cluster: Cluster) -> None:
    first, second, third = cluster.servers
    shop = Shop(f"redis://127.0.0.1:{third.port}/?cluster=1&domain={on_first('d')}")
    async with shop.app, at_work(shop.app, lease=2.0):
        await shop.submit(range(10))
        third.kill()  # the only one that the URL names
        async with first.client() as client, second.client() as other:
            for one in (client, other):
                await one.config_set("cluster-require-full-coverage", "no")
            await client.client_kill_filter(_type="normal", skipme=True)
            await client.client_kill_filter(_type="pubsub", skipme=True)
        await shop.submit(range(10, 20))
        await until(lambda: len(shop.ran) == 20, "they have learnt of the others")
    assert len(shop.stored) == 20
