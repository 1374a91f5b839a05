"""Servers that answer and refuse for a while: read-only, unable to save, without their scripts or their keys."""

from __future__ import annotations

import asyncio
import logging

import pytest
from redis_rig import Open
from server_rig import QUEUE, Shop, at_work, insisted, make, taken, until, want

from orcastra_core.model.delivery import Delivery
from orcastra_core.model.errors import BrokerUnavailable, SessionFenced
from orcastra_core.model.published import STORED, Unknown
from orcastra_core.model.session import Fenced
from orcastra_core.model.settlement import STALE, Done
from orcastra_redis import RedisBroker
from orcastra_redis.conformance_servers import Server
from orcastra_redis.session import RedisSession


async def _refuses(broker: RedisBroker, session: RedisSession, held: Delivery) -> None:
    """Everything says that a repeat may succeed, and has no effect."""
    envelope = make.envelope()
    (answer,) = await broker.publish([envelope])
    assert isinstance(answer, Unknown)
    assert isinstance(answer.error, BrokerUnavailable)
    for call in (
        session.fetch(want(1), wait=0),
        session.settle([make.complete(held)], number=1),
        broker.open_session([QUEUE], lease=1.0),
        broker.pause([QUEUE]),
        broker.scheduler.add([make.schedule("s", 1.0)]),
    ):
        with pytest.raises(BrokerUnavailable) as refused:
            await call
        assert refused.value.retryable
        assert refused.value.__cause__ is not None
    assert await broker.find([envelope.id]) == [None]


async def _goes_on(broker: RedisBroker, session: RedisSession, held: Delivery) -> None:
    assert list(await session.held()) == [held.receipt]
    assert await insisted(lambda: session.settle([make.complete(held)], number=1)) == [Done()]
    assert await broker.publish([make.envelope()]) == [STORED]
    (fresh,) = await taken(session, 1)
    assert await session.settle([make.complete(fresh)], number=2) == [Done()]


@pytest.fixture
async def broker(opened: Open) -> RedisBroker:
    return await opened()


@pytest.fixture
async def session(broker: RedisBroker) -> RedisSession:
    session = await broker.open_session([QUEUE], lease=0.5)
    assert isinstance(session, RedisSession)
    return session


@pytest.fixture
async def held(broker: RedisBroker, session: RedisSession) -> Delivery:
    assert await broker.publish([make.envelope()]) == [STORED]
    (delivery,) = await taken(session, 1)
    return delivery


async def test_read_only_for_longer_than_a_lease(
    redis: Server, broker: RedisBroker, session: RedisSession, held: Delivery
) -> None:
    async with redis.client() as client:
        await client.replicaof("127.0.0.1", "1")  # of nobody: it keeps what it has
        await _refuses(broker, session, held)
        await asyncio.sleep(1.5 * session.lease)  # its beats are refused as well
        with pytest.raises(BrokerUnavailable):
            await broker.sweep(limit=10)
        await client.replicaof("no", "one")
    await until(lambda: broker.beat(session.id), "it takes beats again")
    await _goes_on(broker, session, held)


async def test_unable_to_save_for_longer_than_a_lease(
    redis: Server, broker: RedisBroker, session: RedisSession, held: Delivery, caplog: pytest.LogCaptureFixture
) -> None:
    obstacle = redis.directory / "dump.rdb"
    obstacle.mkdir()
    async with redis.client() as client:
        await client.config_set("save", "3600 1")
        await _save(redis, "err")
        with caplog.at_level(logging.WARNING, "orcastra.redis"):
            await _refuses(broker, session, held)
            await asyncio.sleep(1.5 * session.lease)
        assert "MISCONF" in caplog.text, "the log says why"
        obstacle.rmdir()
        await _save(redis, "ok")
    swept = await insisted(lambda: broker.sweep(limit=10))
    assert (swept.sessions, swept.lost) == ([], []), "nobody could beat: that is nobody's death"
    await _goes_on(broker, session, held)


async def _save(redis: Server, expected: str) -> None:
    async with redis.client() as client:
        await client.bgsave()

        async def over() -> bool:
            facts = await client.info("persistence")
            return not facts["rdb_bgsave_in_progress"] and facts["rdb_last_bgsave_status"] == expected

        await until(over, f"the save ends with {expected}")


async def test_scripts_flushed_while_a_worker_works(redis: Server) -> None:
    shop = Shop(redis.url)
    async with shop.app, at_work(shop.app), redis.client() as client:
        for batch in range(20):
            await client.script_flush()
            await shop.submit(range(50 * batch, 50 * batch + 50))
        await until(lambda: sum(shop.ran.values()) >= 1000, "all of it ran")
    assert set(shop.ran.values()) == {1}
    assert len(shop.stored) == 1000


async def test_everything_flushed_under_a_worker(redis: Server) -> None:
    shop = Shop(redis.url)
    async with shop.app, at_work(shop.app), redis.client() as client:
        await shop.submit(range(10))
        await until(lambda: len(shop.ran) == 10, "the worker works")
        await client.flushall()
        await shop.submit(range(10, 20))
        await until(lambda: len(shop.ran) == 20, "it opened a session of its own accord, and works")


async def test_a_session_whose_keys_are_gone_is_told_so(
    redis: Server, broker: RedisBroker, session: RedisSession, held: Delivery
) -> None:
    async with redis.client() as client:
        await client.flushall()
    assert list(await session.signals(wait=5.0)) == [Fenced()]
    assert await session.settle([make.complete(held)], number=1) == [STALE]
    with pytest.raises(SessionFenced):
        await session.fetch(want(1), wait=0)


async def test_a_group_that_is_gone_is_made_anew_and_nothing_is_left_lying(
    redis: Server, broker: RedisBroker, session: RedisSession, held: Delivery
) -> None:
    envelopes = make.envelopes(3)
    assert await broker.publish(envelopes) == [STORED] * 3
    async with redis.client() as client:
        assert await client.xgroup_destroy("{orcastra}:s:0:q", "w") == 1
    got = await session.fetch(want(10), wait=1.0)
    assert {one.envelope.id for one in got} == {held.envelope.id, *(one.id for one in envelopes)}
    assert await session.settle([make.complete(one) for one in got], number=1) == [Done()] * 4


@pytest.mark.parametrize("gone", ["s:0:q", "lanes", "meta", "sessions", "counts"])
async def test_a_key_that_is_gone_stalls_nobody(
    redis: Server, broker: RedisBroker, session: RedisSession, held: Delivery, gone: str
) -> None:
    async with redis.client() as client:
        await client.delete(f"{{orcastra}}:{gone}")
    envelope = make.envelope()
    assert await broker.publish([envelope]) == [STORED]
    got = await session.fetch(want(10), wait=1.0)
    assert envelope.id in {one.envelope.id for one in got}
    assert (await session.settle([make.complete(one) for one in got], number=1))[-1] == Done()


async def test_an_entry_that_somebody_deleted_stalls_nobody(
    redis: Server, broker: RedisBroker, session: RedisSession, held: Delivery
) -> None:
    """Redis before 7 keeps it pending, and answers with nothing in its place."""
    envelope = make.envelope()
    assert await broker.publish([envelope]) == [STORED]
    (fresh,) = await taken(session, 1)
    assert await session.settle([make.release(held), make.release(fresh)], number=1) == [Done()] * 2
    async with redis.client() as client:
        assert await client.xdel("{orcastra}:s:0:q", held.receipt) == 1
    (again,) = await session.fetch(want(10), wait=1.0)
    assert again.envelope.id == envelope.id
    assert await session.settle([make.complete(again)], number=2) == [Done()]
    (depth,) = await broker.inspect()
    assert (depth.ready, depth.running) == (0, 0)
