"""Opening, closing, and what is left."""

from __future__ import annotations

import asyncio

from orcastra_conformance.engine.case import case
from orcastra_conformance.engine.steps import turns
from orcastra_conformance.engine.trial import FAR, Trial
from orcastra_core.model.delivery import Want
from orcastra_core.model.errors import BrokerClosed
from orcastra_core.model.profile import Cap
from orcastra_core.model.queue import QueueSpec


@case("life.idempotent", why="open, close and declare may be called twice")
async def _(t: Trial) -> None:
    broker = await t.broker()
    t.expect.equal(await broker.open(), t.profile, "a second open answers the same profile")
    specs = [QueueSpec(t.queue("a")), QueueSpec(t.queue("b"), max_lost=2)]
    await broker.declare(specs)
    await broker.declare(specs)
    await t.stored(broker, t.envelope("a"))
    await broker.declare(specs)
    await t.one(await t.session(broker, t.queue("a")), t.queue("a"))
    await broker.close()
    await broker.close()


@case("life.declare-race", why="declare, publish and fetch make a queue, safely from many clients at once")
async def _(t: Trial) -> None:
    brokers = [await t.broker() for _ in range(5)]
    sent = t.envelopes(5)
    async with asyncio.TaskGroup() as group:
        for broker, envelope in zip(brokers, sent, strict=True):
            group.create_task(broker.declare([QueueSpec(t.queue())]))
            group.create_task(broker.publish([envelope]))
    session = await t.session(brokers[0])
    t.expect.same(
        [d.envelope.id for d in await t.take(session, 5)], [e.id for e in sent], "nothing was lost in the race"
    )


@case("life.use-after-close", why="BrokerClosed after close, and before open")
async def _(t: Trial) -> None:
    broker = await t.broker()
    session, (delivery,) = await t.running(broker, t.envelope())
    await broker.close()
    fresh = await t.harness.broker(t.domain)
    for closed in (broker, fresh):
        await t.expect.raises(BrokerClosed, closed.publish([t.envelope()]), "publish")
        await t.expect.raises(BrokerClosed, closed.open_session([t.queue()], lease=t.lease), "open_session")
        await t.expect.raises(BrokerClosed, closed.sweep(limit=1), "sweep")
    await t.expect.raises(BrokerClosed, session.fetch(Want(1, [(t.queue(), 1)]), wait=0), "fetch")
    await t.expect.raises(BrokerClosed, session.settle([t.complete(delivery)], number=1), "settle")
    await t.expect.raises(BrokerClosed, session.signals(wait=0), "signals")
    await session.leave()


@case("life.close-frees-waiters", why="whoever waits in another method is freed within a second and gets BrokerClosed")
async def _(t: Trial) -> None:
    broker = await t.broker()
    session = await t.session(broker)
    async with asyncio.TaskGroup() as group:
        fetch = session.fetch(Want(1, [(t.queue(), 1)]), wait=FAR)
        fetching = group.create_task(t.expect.raises(BrokerClosed, fetch, "fetch is freed"))
        listening = group.create_task(t.expect.raises(BrokerClosed, session.signals(wait=FAR), "signals is freed"))
        await turns(20)
        await broker.close()
        await t.soon(fetching, "close frees a waiting fetch")
        await t.soon(listening, "close frees a waiting signals")


@case("life.reopen", why="a closed broker may be opened again; the store is as it was")
async def _(t: Trial) -> None:
    broker = await t.broker()
    envelope = t.envelope()
    await t.stored(broker, envelope)
    await broker.close()
    t.expect.equal(await broker.open(), t.profile, "the same store")
    session = await t.session(broker)
    t.expect.equal((await t.one(session)).envelope.id, envelope.id, "with what was in it")


@case("life.shared-object", why="every method may run concurrently with every other in one event loop")
async def _(t: Trial) -> None:
    broker = await t.broker()
    sent = t.envelopes(40)
    done: list[str] = []

    async def submit(number: int) -> None:
        await t.stored(broker, *sent[number * 4 : number * 4 + 4])

    async def work() -> None:
        session = await t.session(broker)
        while len(done) < len(sent):
            for delivery in await session.fetch(Want(3, [(t.queue(), 3)]), wait=0):
                await t.done(session, t.complete(delivery))
                done.append(delivery.envelope.id)
            await turns(1)
        await session.leave()

    async with asyncio.TaskGroup() as group:
        for number in range(10):
            group.create_task(submit(number))
        for _ in range(3):
            group.create_task(work())
    t.expect.same(done, [e.id for e in sent], "each task ran once")


@case(
    "hon.profile-within-claims", why="what open says is a subset of the class's claims, and the same for every client"
)
async def _(t: Trial) -> None:
    one, other = await t.broker(), await t.broker()
    first, second = await one.open(), await other.open()
    t.expect.equal(first.capabilities, second.capabilities, "two clients hear the same")
    t.expect.true(first.capabilities <= type(one).claims, "no more than the class claims")
    t.expect.true(bool(first.server), "it says what it is")
    low, high = first.limits.priorities
    t.expect.true(low <= 0 <= high, "priority 0 is always taken")
    wanted = {Cap.RESULTS: one.results, Cap.DEAD_LETTERS: one.dead_letters, Cap.EVENTS: one.events}
    for cap, store in wanted.items():
        t.expect.equal(store is not None, first.offers(cap), f"{cap.name} and its sub-service go together")
