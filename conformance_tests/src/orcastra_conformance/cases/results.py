"""Results: stored, pushed, expired, absent."""

from __future__ import annotations

import asyncio

from orcastra_conformance.engine.case import case
from orcastra_conformance.engine.steps import turns
from orcastra_conformance.engine.trial import FAR, Trial
from orcastra_core.interfaces.broker import Broker
from orcastra_core.interfaces.results import ResultStore
from orcastra_core.model.errors import BrokerClosed
from orcastra_core.model.profile import Cap
from orcastra_core.model.result import Absence, Outcome, Result
from orcastra_core.model.settlement import Complete, Dead

RESULTS = [Cap.RESULTS]


def _store(t: Trial, broker: Broker) -> ResultStore:
    return t.expect.found(broker.results, "RESULTS is claimed: the sub-service is there")


@case("res.roundtrip", needs=RESULTS, why="a result is stored as it was settled, whatever the outcome")
async def _(t: Trial) -> None:
    broker = await t.broker()
    session, (a, b, c) = await t.running(broker, *t.envelopes(3))
    cancelled = Complete(c, Result(c.envelope.id, Outcome.CANCELLED, ended_at=1.5))
    settled: list[Complete | Dead] = [t.complete(a, bytes(range(256))), t.dead(b), cancelled]
    await t.done(session, *settled)
    results = _store(t, await t.broker())
    found = list(await results.get([a.envelope.id, b.envelope.id, c.envelope.id]))
    for got, item in zip(found, settled, strict=True):
        stored = t.expect.is_a(got, Result, "there is one")
        fields = ("id", "outcome", "value", "content_type", "error", "ended_at")
        for name in fields:
            t.expect.equal(getattr(stored, name), getattr(item.result, name), f"its {name} is what was settled")


@case("res.absence", needs=[Cap.RESULTS, Cap.LOOKUP], why="PENDING, EXPIRED and UNKNOWN are told apart, aligned")
async def _(t: Trial) -> None:
    broker = await t.broker()
    results = _store(t, broker)
    waiting = t.envelope("elsewhere")
    await t.stored(broker, waiting)
    session, (held, done) = await t.running(broker, *t.envelopes(2))
    await t.done(session, t.complete(done, ttl=0.0))
    asked = [t.id(), waiting.id, held.envelope.id, done.envelope.id]
    wanted = [Absence.UNKNOWN, Absence.PENDING, Absence.PENDING, Absence.EXPIRED]
    t.expect.equal(list(await results.get(asked)), wanted, "never seen, waiting, running, finished with TTL 0")


@case("res.expires", needs=RESULTS, why="the TTL runs from the end of the task; prune drops what outlived it")
async def _(t: Trial) -> None:
    broker = await t.broker()
    results = _store(t, broker)
    session, (a, b) = await t.running(broker, *t.envelopes(2))
    await t.done(session, t.complete(a, ttl=2 * t.moment), t.complete(b, ttl=FAR))
    await t.advance(3 * t.moment)
    gone, kept = await results.get([a.envelope.id, b.envelope.id])
    t.expect.true(isinstance(gone, Absence), "its time is over, pruned or not")
    t.expect.is_a(kept, Result, "the other is kept")
    pruned = await results.prune(limit=100)
    t.expect.true(pruned <= 1, "there was one to prune")
    t.expect.equal(await results.prune(limit=100), 0, "and no more")
    t.expect.is_a((await results.get([b.envelope.id]))[0], Result, "pruning leaves the other alone")


@case(
    "res.pushed", needs=RESULTS, why="a result is pushed to the feed that its envelope names as reply, TTL 0 included"
)
async def _(t: Trial) -> None:
    worker, client, other = await t.broker(), await t.broker(), await t.broker()
    feed, deaf = await _store(t, client).subscribe(), await _store(t, other).subscribe()
    t.expect.true(feed.channel != deaf.channel, "channels are unique in the domain")
    session = await t.session(worker)
    for ttl in (FAR, 0.0):
        await t.stored(client, t.envelope(reply=feed.channel))
        async with asyncio.TaskGroup() as group:
            waiting = group.create_task(feed.next(wait=FAR))
            await turns(20)
            delivery = await t.one(session)
            await t.done(session, t.complete(delivery, b"\x18\x2a", ttl=ttl))
            got = await t.soon(waiting, "a result is pushed")
        t.expect.equal(
            [(r.id, r.value) for r in got], [(delivery.envelope.id, b"\x18\x2a")], f"pushed, with TTL {ttl:g}"
        )
    t.expect.equal(list(await deaf.next(wait=0)), [], "nobody else hears it")
    await feed.close()
    await deaf.close()


@case(
    "res.pushed-before-next",
    needs=RESULTS,
    why="what is settled after subscribe returned is pushed, asked for at that moment or not",
)
async def _(t: Trial) -> None:
    broker = await t.broker()
    feed = await _store(t, broker).subscribe()
    session, taken = await t.running(broker, *t.envelopes(5, reply=feed.channel))
    await t.done(session, *(t.complete(d) for d in taken[:3]), t.dead(taken[3]))
    await t.done(session, t.retry(taken[4]))
    seen: list[str] = []
    while len(seen) < 4:
        got = await t.soon(feed.next(wait=FAR), "every final settlement is pushed")
        seen += [r.id for r in got]
    t.expect.same(seen, [d.envelope.id for d in taken[:4]], "every final settlement, and no other")
    await feed.close()


@case("res.feed-close", needs=RESULTS, why="closing a feed, or its broker, frees whoever waits; then BrokerClosed")
async def _(t: Trial) -> None:
    broker = await t.broker()
    for closing in ("feed", "broker"):
        feed = await _store(t, broker).subscribe()
        async with asyncio.TaskGroup() as group:
            group.create_task(
                t.soon(t.expect.raises(BrokerClosed, feed.next(wait=FAR), f"the {closing} was closed"), "close frees")
            )
            await turns(20)
            await (feed if closing == "feed" else broker).close()
        await feed.close()
        await t.expect.raises(BrokerClosed, feed.next(wait=0), f"the {closing} was closed")


@case(
    "res.stale-loses", needs=[Cap.RESULTS, Cap.FENCED], why="what a reaped session says late cannot overwrite a result"
)
async def _(t: Trial) -> None:
    broker = await t.broker()
    feed = await _store(t, broker).subscribe()
    dead, (late,) = await t.running(broker, t.envelope(reply=feed.channel))
    await broker.expire(dead.id)
    session = await t.session(broker)
    await t.done(session, t.complete(await t.one(session), b"\x01"))
    await t.settle(dead, t.complete(late, b"\x02"))
    (found,) = await _store(t, broker).get([late.envelope.id])
    t.expect.equal(t.expect.is_a(found, Result, "it has a result").value, b"\x01", "the first stands")
    t.expect.equal([r.value for r in await feed.next(wait=0)], [b"\x01"], "and is the only one pushed")
    await feed.close()
