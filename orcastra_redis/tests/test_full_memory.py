"""A server at maxmemory takes no more work, and lets go of what it has."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from redis_rig import Open
from server_rig import QUEUE, Shop, at_work, completions, insisted, make, taken, until, want

from orcastra_core.interfaces.session import Session
from orcastra_core.model.counts import Counts
from orcastra_core.model.errors import StoreFull
from orcastra_core.model.published import STORED, Unknown
from orcastra_core.model.settlement import Done, Settlement
from orcastra_core.model.task_state import Cancelled, State
from orcastra_redis import RedisBroker
from orcastra_redis.conformance_servers import Server


async def limit(redis: Server, memory: str) -> None:
    async with redis.client() as client:
        await client.config_set("maxmemory", memory)


@pytest.fixture
async def broker(opened: Open) -> RedisBroker:
    return await opened()


@pytest.fixture
async def session(broker: RedisBroker) -> Session:
    return await broker.open_session([QUEUE], lease=10.0)


@pytest.fixture
async def full(redis: Server) -> AsyncIterator[None]:
    yield
    await limit(redis, "0")  # so that brokers can leave


async def test_what_asks_for_room_is_refused_and_leaves_nothing(
    redis: Server, broker: RedisBroker, session: Session, full: None
) -> None:
    known = make.envelope()
    assert await broker.publish([known]) == [STORED]
    await limit(redis, "1")
    plain, elsewhere = make.envelope(), make.envelope("other")
    special = make.envelope(dedup=None, order_by="k", due=make.result(known.id).ended_at + 60)
    for envelope in (plain, elsewhere, special):
        (answer,) = await broker.publish([envelope])
        assert isinstance(answer, Unknown)
        assert isinstance(answer.error, StoreFull)
        assert answer.error.retryable
        assert "maxmemory" in str(answer.error)
    assert await broker.find([plain.id, elsewhere.id, special.id]) == [None, None, None]
    for call in (
        broker.pause([QUEUE]),
        broker.scheduler.add([make.schedule("s", 1.0)]),
        broker.events.append([b"x"]),
        broker.results.put([(make.result(make.id()), None)]),
    ):
        with pytest.raises(StoreFull):
            await call
    await limit(redis, "0")
    assert await broker.publish([plain, elsewhere, special]) == [STORED] * 3
    assert {one.queue: one.ready for one in await broker.inspect()} == {"q": 2, "other": 1}


async def test_what_is_there_is_handed_out_settled_and_reaped(
    redis: Server, broker: RedisBroker, session: Session, opened: Open, full: None
) -> None:
    envelopes = make.envelopes(40)
    assert await broker.publish(envelopes) == [STORED] * 40
    other = await (await opened()).open_session([QUEUE], lease=10.0)
    held = await taken(session, 3)
    lost = await taken(other, 25)
    await limit(redis, "1")

    assert await broker.beat(session.id)
    held += await taken(session, 2)
    emitted = make.envelope()
    settlements: list[Settlement] = [
        make.complete(held[0], emit=[emitted]),
        make.retry(held[1]),
        make.dead(held[2]),
        make.release(held[3], after=0.01),
        make.complete(held[4]),
    ]
    answers = await session.settle(settlements, number=1)
    assert [type(one) for one in answers] == [Done] * 5
    assert answers[0] == Done([STORED]), "a follow-up of what was accepted has its place"
    assert await session.settle(settlements, number=1) == answers, "the answers were kept"

    async with redis.client() as client:
        assert await client.delete(f"{{orcastra}}:n:{other.id}") == 1  # as a reap would begin
    swept = [await broker.sweep(limit=10)]
    while swept[-1].more:
        swept.append(await broker.sweep(limit=10))
    assert sorted(one.id for part in swept for one in part.lost) == sorted(one.envelope.id for one in lost)

    await asyncio.sleep(0.02)
    assert (await broker.scheduler.promote(broker, limit=10, plan=make.plan)).done == 1
    cancelled = envelopes[-1].id
    (wish,) = await broker.cancel([make.cancellation(cancelled)])
    assert wish is Cancelled.REMOVED
    rest = await session.fetch(want(100), wait=0)
    ended = {held[0].envelope.id, held[2].envelope.id, held[4].envelope.id, cancelled}
    assert {one.envelope.id for one in rest} == {one.id for one in (*envelopes, emitted)} - ended, "nothing was lost"
    assert {one.counts for one in rest if one.envelope.id in {it.envelope.id for it in lost}} == {Counts(0, 1, 0)}
    assert all(isinstance(one, Done) for one in await session.settle([make.complete(d) for d in rest], number=2))
    found = await broker.find([one.id for one in envelopes])
    assert [one.state for one in found if one is not None].count(State.DEAD) == 1
    await session.leave()


async def test_a_worker_that_starts_then_makes_room(redis: Server, full: None) -> None:
    shop, other = Shop(redis.url), Shop(redis.url)
    async with shop.app:
        await shop.submit(range(100))
    await limit(redis, "1")
    async with other.app, at_work(other.app):

        async def completed() -> bool:
            return set(await completions(other.app.broker)) == shop.stored

        await until(completed, "all that was there is completed")
        await limit(redis, "0")  # the log takes the worker's last words
    assert set(other.ran.values()) == {1}


async def test_it_goes_on_once_there_is_room(redis: Server, broker: RedisBroker, session: Session, full: None) -> None:
    await limit(redis, "1")
    envelope = make.envelope()

    async def publish() -> object:
        (answer,) = await broker.publish([envelope])
        if isinstance(answer, Unknown):
            raise answer.error
        return answer

    async with asyncio.TaskGroup() as group:
        publishing = group.create_task(insisted(publish))
        fetching = group.create_task(session.fetch(want(1), wait=10.0))
        await asyncio.sleep(0.1)
        await limit(redis, "0")
    assert publishing.result() is STORED
    assert [one.envelope.id for one in fetching.result()] == [envelope.id]
