"""Sweeps of a large domain: many bounded steps, that anybody may go on with, and nothing is missed."""

from __future__ import annotations

from collections import Counter

import pytest
from redis_rig import Open
from server_rig import make, taken, until

from orcastra_core.model.counts import Counts
from orcastra_core.model.delivery import Want
from orcastra_core.model.names import QueueName
from orcastra_redis import RedisBroker
from orcastra_redis.conformance_servers import Server

LANES = 3000


@pytest.fixture
async def large(redis: Server, opened: Open) -> RedisBroker:
    """A broker of a domain with thousands of queues, a task in each."""
    broker = await opened()
    await broker.publish([make.envelope(f"q{number}") for number in range(LANES)])
    return broker


async def _dead(redis: Server, opened: Open, every: int) -> int:
    """Have a session take what is in some of the queues, and lose its record. Return how many it holds."""
    broker = await opened(redis.url)
    queues = [QueueName(f"q{number}") for number in range(0, LANES, every)]
    session = await broker.open_session(queues, lease=10.0)
    got = await session.fetch(Want(len(queues), [(queue, 1) for queue in queues]), wait=0)
    assert len(got) == len(queues)
    await broker.close()
    async with redis.client() as client:
        assert await client.delete(f"{{orcastra}}:n:{session.id}") == 1  # as a reap would begin
    return len(got)


async def test_a_reap_goes_on_where_another_stopped(redis: Server, opened: Open, large: RedisBroker) -> None:
    held = await _dead(redis, opened, 100)
    other = await opened(redis.url)
    lost: Counter[str] = Counter()
    steps, more = 0, True
    async with redis.client() as client:
        while more:
            swept = await (large, other)[steps % 2].sweep(limit=10)
            lost.update(one.id for one in swept.lost)
            steps, more = steps + 1, swept.more
            assert len(swept.lost) <= 10
            assert (await client.hlen("{orcastra}:reaping") == 1) is more, (
                "where it stopped is noted as long as there is more"
            )
        assert steps >= held / 10
        assert len(lost) == held
        assert set(lost.values()) == {1}, "nothing is taken back twice"
        assert not await client.scard("{orcastra}:sessions")
    session = await other.open_session([QueueName("q0")], lease=10.0)
    (again,) = await session.fetch(Want(1, [(QueueName("q0"), 1)]), wait=0)
    assert again.counts == Counts(lost=1)


async def test_no_step_looks_at_all_lanes(redis: Server, opened: Open, large: RedisBroker) -> None:
    held = await _dead(redis, opened, LANES // 2)  # so few that it is not their number which ends a step
    swept = await large.sweep(limit=1000)
    steps = 1
    lost = len(swept.lost)
    while swept.more:
        swept = await large.sweep(limit=1000)
        steps, lost = steps + 1, lost + len(swept.lost)
    assert lost == held
    assert steps > LANES / 1000


async def test_whoever_left_many_lanes_has_left_them_all(redis: Server, opened: Open, large: RedisBroker) -> None:
    queues = [QueueName(f"q{number}") for number in range(0, LANES, 10)]
    session = await large.open_session(queues, lease=10.0)
    assert len(await session.fetch(Want(LANES, [(queue, 1) for queue in queues]), wait=0)) == len(queues)
    await session.leave()
    assert not sum(one.running for one in await large.inspect())
    async with redis.client() as client:
        assert not await client.exists("{orcastra}:reaping", "{orcastra}:sessions")
        assert {one["name"] for one in await client.xinfo_consumers("{orcastra}:s:0:q0", "w")} <= {b"-"}


async def test_what_a_forgotten_session_held_is_found_among_the_consumers(
    redis: Server, opened: Open, large: RedisBroker
) -> None:
    held = await _dead(redis, opened, 500)
    async with redis.client() as client:
        await client.delete("{orcastra}:sessions")  # as if nobody had ever opened one
    lost: list[str] = []

    async def all_found() -> bool:
        lost.extend(one.id for one in (await large.sweep(limit=1000)).lost)
        return len(lost) >= held

    await until(all_found, "all that it held is handed out again")
    assert len(set(lost)) == held


async def test_letters_that_expired_are_counted_no_more(redis: Server, opened: Open) -> None:
    broker = await opened()
    await broker.publish(make.envelopes(60))
    session = await broker.open_session([QueueName("q")], lease=10.0)
    got = await taken(session, 60)
    await session.settle([make.dead(one) for one in got], number=1)
    kept = [one.envelope.id for one in got[40:50]]
    async with redis.client() as client:
        for one in got:
            if one.envelope.id not in kept:  # as the server does after 30 days
                assert await client.delete(f"{{orcastra}}:x:{one.envelope.id}") == 1
        page = await broker.dead_letters.page(limit=5)
        assert [one.id for one in page] == kept[:5], "a page passes over them, and is full all the same"

        async def counted() -> bool:
            await broker.sweep(limit=10)
            return [(await broker.inspect())[0].dead, await client.zcard("{orcastra}:dead")] == [10, 10]

        await until(counted, "the others are not listed any more")
    assert [one.id for one in await broker.dead_letters.page(queue=QueueName("q"))] == kept
    assert await broker.dead_letters.purge() == 10
