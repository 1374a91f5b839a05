"""What is left behind: nothing."""

from __future__ import annotations

import asyncio
import os
import threading

import attrs

from orcastra_conformance.engine.case import case
from orcastra_conformance.engine.harness import REMEMBERED, Unproven
from orcastra_conformance.engine.making import ERROR
from orcastra_conformance.engine.steps import turns
from orcastra_conformance.engine.trial import FAR, Trial
from orcastra_core.interfaces.broker import Broker
from orcastra_core.interfaces.session import Session
from orcastra_core.model.counts import Counts
from orcastra_core.model.envelope import Dedup, Envelope
from orcastra_core.model.profile import Cap
from orcastra_core.model.queue import QueueSpec
from orcastra_core.model.settlement import Dead

ROUNDS = 5
_LOOKS = 100


async def _census(t: Trial) -> dict[str, int]:
    """Count what the store holds, but for the ids that it owes to remember."""
    counts = {kind: number for kind, number in (await t.harness.census(t.domain)).items() if number}
    t.note(f"census {counts}")
    counts.pop(REMEMBERED, None)
    return counts


async def _of_this_process() -> dict[str, int]:
    """Count what there is in the end: what comes and goes, as a ping does, is not left behind."""
    least = _now_in_this_process()
    for _ in range(_LOOKS):
        await turns(1)
        least = {kind: min(number, least[kind]) for kind, number in _now_in_this_process().items()}
    return least


def _now_in_this_process() -> dict[str, int]:
    # the loop's own pool grows to its bound, as it likes
    threads = [thread for thread in threading.enumerate() if not thread.name.startswith("asyncio_")]
    counts = {"threads": len(threads), "asyncio tasks": len(asyncio.all_tasks())}
    try:
        counts["open files"] = len(os.listdir("/dev/fd"))
    except OSError:
        pass  # this system does not tell
    return counts


async def _make_known(t: Trial, broker: Broker) -> None:
    """Declare the queues and use each once, so that their being known is no difference."""
    queues = [t.queue(), t.queue("other")]
    await broker.declare([QueueSpec(queue) for queue in queues])
    await t.stored(broker, *map(t.envelope, queues))
    session = await t.session(broker, *queues)
    await t.done(session, *(t.complete(delivery, ttl=0.0) for delivery in await t.take(session, 2, *queues)))
    await session.leave()
    await _tidy_up(t, broker)


async def _submit(t: Trial, broker: Broker, reply: str | None) -> None:
    """Publish with all that is offered; and what will never run, to cancel it."""
    sent = t.envelopes(6, reply=reply)
    doomed = [t.envelope("other")]
    if t.claims(Cap.DEDUP):
        sent += [t.envelope(dedup=Dedup(f"k{number}")) for number in range(2)]
        doomed.append(t.envelope("other", dedup=Dedup("k")))
    if t.claims(Cap.ORDERED_KEY):
        sent += [t.envelope(order_by="k") for _ in range(3)]
        doomed += [t.envelope("other", order_by="k") for _ in range(2)]
    if t.claims(Cap.DELAY):
        doomed.append(t.envelope("other", due=t.now() + FAR))
    await t.stored(broker, *sent)
    if t.claims(Cap.CANCEL):
        await t.stored(broker, *doomed)
        wishes = [t.cancellation(envelope.id) for envelope in doomed]
        await broker.cancel([attrs.evolve(wish, result=attrs.evolve(wish.result, ttl=0.0)) for wish in wishes])


async def _use_everything(t: Trial, broker: Broker, other: Broker) -> None:
    """Begin something of every kind, and end it."""
    feed = await broker.results.subscribe() if broker.results is not None else None
    await _submit(t, broker, feed.channel if feed is not None else None)
    dying, session = await t.session(broker), await t.session(other)
    await t.take(dying, 3)
    await t.expirer(broker, other).expire(dying.id)
    await dying.leave()
    retried, released, dead, moved = await t.take(session, 4)
    bury = Dead(dead, "gave up", ERROR, t.failure(dead.envelope.id, ttl=0.0))
    await t.done(session, t.retry(retried), t.release(released), bury)
    if t.profile.limits.publish_window:
        await t.done(session, t.moved(moved))
        envelope = t.expect.is_a(moved.envelope, Envelope, "readable")
        await t.stored(other, attrs.evolve(envelope, counts=Counts(moved.counts.attempt + 1, 0, 0)))
    else:
        await t.done(session, t.complete(moved, ttl=0.0))
    await _finish_all(t, session)
    await session.leave()
    await _tidy_up(t, broker)
    if feed is not None:
        await feed.close()


async def _finish_all(t: Trial, session: Session) -> None:
    empty = 0
    while empty < 3:  # it may come back early and empty
        taken = await t.fetch(session, t.want(100))
        empty = 0 if taken else empty + 1
        await t.done(session, *(t.complete(delivery, ttl=0.0) for delivery in taken))


async def _tidy_up(t: Trial, broker: Broker) -> None:
    """Do what the runtime and its users do now and then."""
    if t.claims(Cap.SCHEDULES) and broker.scheduler is not None:
        schedule = t.schedule("s", t.now() + FAR, trigger="interval:60")
        await broker.scheduler.add([schedule])
        await broker.scheduler.remove([schedule.id])
    if t.claims(Cap.PAUSE):
        await broker.pause([t.queue()])
        await broker.resume([t.queue()])
    if broker.dead_letters is not None:
        await broker.dead_letters.purge()
    if broker.results is not None:
        await broker.results.prune(limit=1000)
    if broker.events is not None:
        await broker.events.trim(keep=0)
    await broker.sweep(limit=100)


@case(
    "life.no-growth",
    slow=True,
    why="the same work again and again leaves as much in the store, and in the process, as the first time",
    hint="the history has a census for each round: look for the kind that grows",
)
async def _(t: Trial) -> None:
    broker, other = await t.broker(), await t.broker()
    await _make_known(t, broker)
    stored, own = list[dict[str, int]](), list[dict[str, int]]()
    for _ in range(ROUNDS):
        await _use_everything(t, broker, other)
        stored.append(await _census(t))
        own.append(await _of_this_process())
    t.expect.equal(stored, [stored[0]] * ROUNDS, f"{ROUNDS} rounds: the store holds the same after each")
    # what is made on first use, and kept, is no growth
    t.expect.equal(own[1:], [own[1]] * (ROUNDS - 1), f"{ROUNDS} rounds: so does this process")


@case(
    "life.nothing-left",
    slow=True,
    why="once everything has ended and every client is closed, nothing is left: no record, file, connection, thread or task",
    hint="the history has the census before and after",
)
async def _(t: Trial) -> None:
    first = await t.broker()
    await _make_known(t, first)
    await first.close()
    before, own = await _census(t), list[dict[str, int]]()
    for _ in range(3):
        broker, other = await t.broker(), await t.broker()
        await _use_everything(t, broker, other)
        await broker.close()
        await other.close()
        t.expect.equal(await _census(t), before, "the store is as before")
        own.append(await _of_this_process())
    t.expect.equal(own[1:], [own[0]] * 2, "and this process, but for what is made on first use and kept")
    try:
        await t.advance(max(FAR, 10 * t.profile.limits.publish_window))
    except Unproven:
        return  # here nobody can wait until the ids may be forgotten
    broker = await t.broker()
    if broker.results is not None:
        await broker.results.prune(limit=1000)
        left = (await t.harness.census(t.domain)).get(REMEMBERED, 0)
        t.expect.equal(left, 0, "and long after publish_window no id is remembered any more")


@case(
    "res.expires-from-census",
    needs=[Cap.RESULTS],
    slow=True,
    why="what outlived its TTL is dropped by prune: the store holds it no more",
)
async def _(t: Trial) -> None:
    broker = await t.broker()
    results = t.expect.found(broker.results, "RESULTS is claimed: the sub-service is there")

    async def work(ttl: float) -> dict[str, int]:
        session, taken = await t.running(broker, *t.envelopes(5))
        await t.done(session, *(t.complete(delivery, ttl=ttl) for delivery in taken))
        await session.leave()
        return await _census(t)

    before = await work(0.0)
    t.expect.true(await work(2 * t.moment) != before, "results are stored, and counted")
    await t.advance(3 * t.moment)
    for limit in (2, 2, 100):
        await results.prune(limit=limit)
    t.expect.equal(await _census(t), before, "nothing of them is left")
