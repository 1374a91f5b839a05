"""What stays in the server once all work is done: no key without a reason to live, and no more after each round."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from redis_rig import Open
from server_rig import QUEUE, make, taken, until, want

from orcastra_core.interfaces.session import Session
from orcastra_core.model.delivery import Delivery
from orcastra_core.model.envelope import Dedup, DedupMode
from orcastra_core.model.event import EventKind, LogEntry
from orcastra_core.model.published import STORED
from orcastra_core.model.session import CancelTask
from orcastra_core.model.settlement import Done
from orcastra_core.model.task_state import Cancelled
from orcastra_redis import RedisBroker
from orcastra_redis.conformance_servers import Server

P = "{orcastra}:"
LASTING = {"meta", "lanes", "events", "s:0:q", "s:5:q", "s:7:q"}
"""Keys that stay: the domain's, and the lanes that were in use. All others are to be gone, or to expire."""


async def _lasting(redis: Server) -> dict[str, int]:
    """Return the keys that do not expire, and how many members each has."""
    found: dict[str, int] = {}
    async with redis.client() as client:
        async for key in client.scan_iter():
            name = key.decode()
            assert name.startswith(P)
            if await client.ttl(key) == -1:
                size = {b"stream": "XLEN", b"hash": "HLEN", b"set": "SCARD", b"zset": "ZCARD", b"list": "LLEN"}
                kind = size.get(await client.type(key), "STRLEN")
                found[name.removeprefix(P)] = await client.execute_command(kind, key)
    return found


class Round:
    """A round of everything that leaves something behind while it lasts."""

    def __init__(self, broker: RedisBroker, redis: Server) -> None:
        self._broker = broker
        self._redis = redis
        self._number = 0

    async def run(self) -> None:
        broker = self._broker
        session = await broker.open_session([QUEUE], lease=10.0)
        soon = make.result(make.id()).ended_at + 0.05
        envelopes = [
            *make.envelopes(30),
            *make.envelopes(5, priority=5),
            *make.envelopes(3, due=soon),
            *make.envelopes(3, order_by="k"),
            make.envelope(dedup=Dedup("alive")),
            make.envelope(dedup=Dedup("start", DedupMode.UNTIL_START)),
            make.envelope(dedup=Dedup("window", DedupMode.WINDOW, 60.0)),
        ]
        events = [make.event(EventKind.SUBMITTED, one.id) for one in envelopes]
        await broker.publish(envelopes, events=events)
        await self._settle_each_way(session)
        await self._cancel(session)
        await self._die()
        await self._replay(session)
        await self._fire()
        await self._drain(session)
        await session.leave()
        await broker.pause([QUEUE])
        await broker.resume([QUEUE])
        await broker.events.trim(keep=0)

    async def _settle(self, session: Session, *settlements: object) -> None:
        self._number += 1
        said = await session.settle(settlements, number=self._number)  # type: ignore[arg-type] # of every kind
        assert all(isinstance(one, Done) for one in said)

    async def _settle_each_way(self, session: Session) -> None:
        got = await taken(session, 12)
        await self._settle(
            session,
            make.retry(got[0]),
            make.retry(got[1], after=0.01),
            make.release(got[2]),
            make.release(got[3], after=0.01),
            make.dead(got[4], emit=[make.envelope()]),
            make.complete(got[5], emit=make.envelopes(2)),
            make.complete(got[6], ttl=0.0),
            make.moved(got[7]),
            *(make.complete(one) for one in got[8:]),
        )
        back = got[7].envelope
        assert await self._broker.cancel([make.cancellation(back.id)]) == [Cancelled.REMOVED]

    async def _cancel(self, session: Session) -> None:
        """Wish for tasks to end that then end by themselves, in each of the ways in which they may."""
        broker = self._broker
        await broker.publish(make.envelopes(4, priority=7))
        running = await taken(session, 4)
        wishes = [make.cancellation(one.envelope.id) for one in running]
        assert await broker.cancel(wishes) == [Cancelled.SIGNALLED] * 4
        assert set(await session.signals(wait=5.0)) >= {CancelTask(one.envelope.id) for one in running}
        await self._settle(
            session,
            make.complete(running[0]),
            make.retry(running[1]),
            make.dead(running[2]),
            make.complete(running[3], emit=[make.envelope()]),
        )
        waiting = make.envelope(dedup=Dedup("another"), order_by="another")
        assert await broker.publish([waiting]) == [STORED]
        assert await broker.cancel([make.cancellation(waiting.id)]) == [Cancelled.REMOVED]

    async def _die(self) -> None:
        """Die with work in hand, some of which somebody wishes to end: it waits again, and is removed then."""
        broker = self._broker
        mortal = await broker.open_session([QUEUE], lease=10.0)
        got = await taken(mortal, 4)
        wish = make.cancellation(got[0].envelope.id)
        assert await broker.cancel([wish]) == [Cancelled.SIGNALLED]
        assert await broker.expire(mortal.id) == 4
        assert await broker.cancel([wish]) == [Cancelled.REMOVED]
        await mortal.leave()

    async def _replay(self, session: Session) -> None:
        (letter, *_) = await self._broker.dead_letters.page()
        assert await self._broker.dead_letters.replay([letter.id]) == [STORED]
        assert await self._broker.dead_letters.purge() > 0

    async def _fire(self) -> None:
        scheduler = self._broker.scheduler
        now = make.result(make.id()).ended_at
        await scheduler.add([make.schedule("once", now), make.schedule("again", now, trigger="interval:60")])

        async def fired() -> bool:
            promotion = await scheduler.promote(self._broker, limit=100, plan=make.plan)
            return promotion.next_in is None or promotion.next_in > 1.0

        await until(fired, "all that is due is ready")
        assert await scheduler.remove(["again"]) == [True]  # type: ignore[list-item] # its id

    async def _drain(self, session: Session) -> None:
        while got := await session.fetch(want(100), wait=0):
            await self._settle(session, *(self._end(one) for one in got))

    def _end(self, delivery: Delivery) -> object:
        return make.complete(delivery)


async def test_round_after_round_the_same_is_left(redis: Server, opened: Open) -> None:
    broker = await opened()
    left = []
    for _ in range(4):
        work = Round(broker, redis)
        await work.run()
        left.append(await _lasting(redis))
    assert set(left[0]) <= LASTING
    assert left == [left[0]] * 4
    assert not any(size for name, size in left[0].items() if name.startswith("s:") or name == "events")
    (depth,) = await broker.inspect()
    assert (depth.ready, depth.delayed, depth.running, depth.dead) == (0, 0, 0, 0)


async def test_what_expires_does_so_in_time(redis: Server, opened: Open) -> None:
    """Nothing outlives its result but the ids of dead letters (30 days) and the records of sessions (a day)."""
    await Round(await opened(), redis).run()
    async with redis.client() as client:
        async for key in client.scan_iter():
            seconds = await client.ttl(key)
            if seconds >= 0 and not key.startswith((b"{orcastra}:t:", b"{orcastra}:w:", b"{orcastra}:d:")):
                pytest.fail(f"{key.decode()} for {seconds} s")
            assert seconds <= 3600 + 60


@pytest.mark.parametrize("most", [1, 50, 1000])
async def test_the_log_is_capped(redis: Server, opened: Open, most: int) -> None:
    broker = await opened(f"{redis.url}?events_max={most}")
    session = await broker.open_session([QUEUE], lease=10.0)
    settled = 0
    envelopes = make.envelopes(1500)
    for number, envelope in enumerate(envelopes):
        events = [make.event(EventKind.SUBMITTED, envelope.id)]
        await broker.publish([envelope], events=events)
        if number % 10 == 0:
            got = await taken(session, 10) if number else []
            settled += 1
            await session.settle(
                [make.complete(one, events=make.event(EventKind.COMPLETED, one.envelope.id)) for one in got],
                number=settled,
            )
    async with redis.client() as client:
        length = await client.xlen("{orcastra}:events")
    assert most <= length <= most + 200, "about: the server drops a hundred at a time"
    last = [one async for one in _entries(broker)][-1]
    assert last.event.task_id == envelopes[-1].id, "the oldest go first"


async def _entries(broker: RedisBroker) -> AsyncIterator[LogEntry]:
    cursor: str | None = None
    while entries := await broker.events.read(after=cursor):
        for one in entries:
            yield one
        cursor = entries[-1].cursor
