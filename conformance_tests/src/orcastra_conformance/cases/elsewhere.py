"""Stores that serve a queue in another store: results, dead letters and schedules of somebody else's tasks."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable

import attrs

from orcastra_conformance.engine.case import case
from orcastra_conformance.engine.expect import NotApplicable
from orcastra_conformance.engine.making import ERROR
from orcastra_conformance.engine.steps import turns
from orcastra_conformance.engine.trial import FAR, Trial
from orcastra_core.interfaces.broker import Broker
from orcastra_core.model.counts import Counts
from orcastra_core.model.dead_letter import DeadLetter
from orcastra_core.model.errors import Unsupported
from orcastra_core.model.profile import Cap
from orcastra_core.model.result import Result
from orcastra_core.model.schedule import ScheduleId


async def _offered(putting: Awaitable[None]) -> None:
    """Put something, or end the case where the store serves its own queue only."""
    try:
        await putting
    except Unsupported as refusal:
        raise NotApplicable("put() is Unsupported: this store serves only its own queue") from refusal


@case(
    "res.put",
    needs=[Cap.RESULTS],
    why="put stores and pushes results of a queue elsewhere; it is idempotent, and the later ended_at wins",
)
async def _(t: Trial) -> None:
    broker = await t.broker()
    results = t.expect.found(broker.results, "RESULTS is claimed: the sub-service is there")
    task_id, other_id = t.id(), t.id()
    first = attrs.evolve(t.result(task_id, b"\x01"), ended_at=1000.0)
    await _offered(results.put([(first, None)]))
    feed = await results.subscribe()

    async def stored() -> bytes:
        (found,) = await results.get([task_id])
        return t.expect.is_a(found, Result, "it is stored").value

    t.expect.equal(await stored(), b"\x01", "as it was put")
    await results.put([(first, None)])
    t.expect.equal(await stored(), b"\x01", "a repeat changes nothing")
    await results.put([(attrs.evolve(first, value=b"\x02", ended_at=2000.0), None)])
    t.expect.equal(await stored(), b"\x02", "a replay ends again: the later end replaces the earlier one")
    await results.put([(attrs.evolve(first, value=b"\x03", ended_at=1500.0), None)])
    t.expect.equal(await stored(), b"\x02", "an earlier end that comes late does not")
    async with asyncio.TaskGroup() as group:
        waiting = group.create_task(feed.next(wait=FAR))
        await turns(20)
        await results.put([(t.result(other_id, b"\x04"), feed.channel)])
        pushed = await t.soon(waiting, "what is put is pushed to its channel")
    t.expect.equal([(r.id, r.value) for r in pushed], [(other_id, b"\x04")], "that one, and no other")
    await feed.close()


@case("res.put-expires", needs=[Cap.RESULTS], why="a result that was put is kept for its TTL, as one that was settled")
async def _(t: Trial) -> None:
    broker = await t.broker()
    results = t.expect.found(broker.results, "RESULTS is claimed: the sub-service is there")
    short, long = t.result(t.id(), ttl=2 * t.moment), t.result(t.id(), ttl=FAR)
    await _offered(results.put([(short, None), (long, None)]))
    await t.advance(3 * t.moment)
    gone, kept = await results.get([short.id, long.id])
    t.expect.true(not isinstance(gone, Result), "its time is over")
    t.expect.is_a(kept, Result, "the other's is not")


@case(
    "dead.put",
    needs=[Cap.DEAD_LETTERS],
    why="put stores dead letters of a queue elsewhere, whole; it is idempotent by id, and they can be paged, replayed and purged",
)
async def _(t: Trial) -> None:
    broker = await t.broker()
    store = t.expect.found(broker.dead_letters, "DEAD_LETTERS is claimed: the sub-service is there")

    def letter(reason: str) -> DeadLetter:
        envelope = t.envelope(body=bytes(range(256)), headers={"x-test-a": [1]})
        return DeadLetter(
            id=envelope.id,
            queue=envelope.queue,
            envelope=envelope,
            counts=Counts(2, 1, 0),
            reason=reason,
            error=ERROR,
            at=t.now(),
        )

    first, second = letter("one"), letter("two")
    await _offered(store.put([first, second]))
    (found,) = await store.get([first.id])
    kept = t.expect.found(found, "it is a dead letter")
    t.expect.equal((kept.envelope, kept.counts, kept.reason), (first.envelope, first.counts, "one"), "kept whole")
    await store.put([attrs.evolve(first, reason="another")])
    t.expect.equal(len(await store.page()), 2, "a repeat is no third one")
    await store.replay([first.id])
    again = await t.one(await t.session(broker))
    t.expect.equal((again.envelope.id, again.counts), (first.id, Counts(0, 0, 0)), "it runs again, from the start")
    t.expect.equal(await store.purge(ids=[second.id]), 1, "the other can be forgotten")


async def _elsewhere(t: Trial) -> Broker:
    """Return a client of another domain, whose store this one's knows nothing of."""
    mine, t.domain = t.domain, f"{t.domain}-other"
    broker = await t.broker()
    t.mishap.push_async_callback(t.harness.wipe, t.domain)
    t.mishap.push_async_callback(broker.close)  # undone first
    t.domain = mine
    return broker


@case(
    "sch.promote-elsewhere",
    needs=[Cap.SCHEDULES],
    why="schedules may live in another store than the queue: what is due is published there, each tick once",
)
async def _(t: Trial) -> None:
    clock, queue = await t.broker(), await _elsewhere(t)
    scheduler = t.expect.found(clock.scheduler, "SCHEDULES is claimed: the sub-service is there")
    due = t.now() - 1
    deferred = t.schedule("deferred", due)
    await scheduler.add([deferred, t.schedule("every", due, trigger="interval:60")])
    promotion = await scheduler.promote(queue, limit=10, plan=t.plan)
    t.expect.equal(promotion.done, 2, "both were due")
    promotion = await scheduler.promote(queue, limit=10, plan=t.plan)
    t.expect.equal(promotion.done, 0, "once each")
    session = await t.session(queue)
    taken = await t.take(session, 2)
    t.expect.true(deferred.envelope.id in {d.envelope.id for d in taken}, "the deferred one under its own id")
    await t.nothing(session, because="once each")
    t.expect.equal(list(await scheduler.get([deferred.id])), [None], "what was deferred is gone")
    (every,) = await scheduler.get([ScheduleId("every")])
    t.expect.true(t.expect.found(every, "it recurs").due > t.now(), "what recurs waits for its next tick")
    await t.nothing(await t.session(clock), because="nothing was published beside the schedules")
    await session.leave()
