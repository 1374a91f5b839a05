"""Servers that are gone for a while: restarted, standing still, emptied."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial

from orcastra_conformance.engine.case import case
from orcastra_conformance.engine.expect import NotApplicable
from orcastra_conformance.engine.tiers import Tier
from orcastra_conformance.engine.trial import FAR, Trial
from orcastra_conformance.faults.patience import BUDGET, again, bounded, repeated, tried
from orcastra_conformance.faults.patient import Patient
from orcastra_conformance.faults.proxy import proxied
from orcastra_conformance.faults.recovery import recovered
from orcastra_core.interfaces.broker import Broker
from orcastra_core.interfaces.session import Session
from orcastra_core.model.counts import Counts
from orcastra_core.model.delivery import Delivery, Want
from orcastra_core.model.errors import OrcastraError
from orcastra_core.model.profile import Cap, Durability
from orcastra_core.model.published import Unknown

STEADY = [Cap.STABLE_SESSION, Cap.FENCED]


async def _in_contact(t: Trial, judge: Broker) -> None:
    """Let a broker watch for so long that it may judge."""
    await judge.sweep(limit=10)
    await t.advance(t.lease * 1.1)
    t.expect.equal(list((await judge.sweep(limit=10)).sessions), [], "nobody is dead yet")


async def _reaps_nobody(t: Trial, judge: Broker) -> None:
    swept = await again(t, partial(judge.sweep, limit=10), "sweep")
    t.note(f"sweep → {list(swept.sessions)}")
    t.expect.equal((list(swept.sessions), list(swept.lost)), ([], []), "it has to watch for a whole lease again")


@case(
    "fault.server-restart",
    budget=BUDGET,
    why="what was confirmed survives a restart of the server, and so do sessions and what they hold where"
    " STABLE_SESSION is claimed: they go on, on the same broker",
)
async def _(t: Trial) -> None:
    if t.profile.durability < Durability.SERVER_CRASH:
        raise NotApplicable(f"the broker's durability is {t.profile.durability.name}: it survives no restart")
    broker = await t.broker()
    session, held = await t.running(broker, *t.envelopes(2))
    waiting, confirmed = await t.session(broker, t.queue("other")), t.envelopes(5)
    await t.stored(broker, *confirmed)
    async with asyncio.TaskGroup() as group:
        group.create_task(tried(t, waiting.fetch(Want(1, [(t.queue("other"), 1)]), wait=t.lease), "a waiting fetch"))
        await t.advance(t.moment)
        await t.harness.restart_server()
        t.note("the server was restarted")
    await again(t, partial(broker.declare, []), "declare")
    if not t.claims(*STEADY):
        await again(t, partial(broker.expire, session.id), "expire")  # it may live on, but need not
        heir = await again(t, partial(t.session, broker), "open_session")
        ids = {one.envelope.id for one in await recovered(t, broker, heir, 7)}
        t.expect.equal(ids, {e.id for e in confirmed} | {d.envelope.id for d in held}, "all that was confirmed")
        return
    patient = Patient(t, session)
    t.expect.same(map(str, await patient.held()), [str(d.receipt) for d in held], "it holds what it held")
    await t.done(patient, *(t.complete(delivery) for delivery in held))
    taken = await t.take(patient, 5)
    t.expect.same([d.envelope.id for d in taken], [e.id for e in confirmed], "what was confirmed is there")
    t.expect.equal({d.counts for d in taken}, {Counts(0, 0, 0)}, "a restart counts as nothing")
    envelope = t.envelope("other")
    await repeated(t, broker, [envelope])
    t.expect.equal((await t.one(Patient(t, waiting), t.queue("other"))).envelope.id, envelope.id, "publish works")


@case(
    "fault.restart-reaps-nobody",
    needs=STEADY,
    budget=BUDGET,
    why="a restart starts the lease of unbroken contact anew: the first sweep after it reaps nobody by lapse",
)
async def _(t: Trial) -> None:
    broker, judge = await t.broker(), await t.broker()
    session, (delivery,) = await t.running(broker, t.envelope())
    await _in_contact(t, judge)
    await t.lapse(session)
    await t.harness.restart_server()
    t.note("the server was restarted")
    await _reaps_nobody(t, judge)
    await t.harness.revive(session)
    patient = Patient(t, session)
    t.expect.equal(list(await patient.held()), [delivery.receipt], "it was merely silent")
    await t.done(patient, t.complete(delivery))
    # and it does judge again, later
    await t.stored(broker, t.envelope())
    await t.one(patient)
    await t.harness.silence(session)
    heir = await t.session(judge)
    (again_,) = await recovered(t, judge, heir, 1)
    t.expect.equal(again_.counts, Counts(0, 1, 0), "who is silent for a lease of its contact is reaped")


async def _survive(t: Trial, judge: Broker, held: dict[Session, Delivery], slow: Session) -> None:
    """Demand that an outage that is over was nobody's death; the beats of ``slow`` come back later than the rest."""
    await _reaps_nobody(t, judge)
    await again(t, partial(t.harness.revive, slow), "a beat")
    for _ in range(3):
        await t.advance(t.lease / 2)
        swept = await again(t, partial(judge.sweep, limit=10), "sweep")
        t.expect.equal(list(swept.sessions), [], "they beat again: nobody reaps them")
    for session, delivery in held.items():
        patient = Patient(t, session)
        t.expect.equal(list(await patient.held()), [delivery.receipt], "it holds what it held")
        await t.done(patient, t.complete(delivery))


async def _two_at_work(t: Trial, broker: Broker) -> dict[Session, Delivery]:
    working: dict[Session, Delivery] = {}
    for _ in range(2):
        session, (delivery,) = await t.running(broker, t.envelope())
        working[session] = delivery
    return working


@case(
    "ses.outage",
    needs=STEADY,
    budget=BUDGET,
    why="an outage longer than the lease reaps nobody: whoever was cut off cannot judge, and healthy sessions go on",
    hint="begin the lease of contact anew with every new connection, and after every silence of the store",
)
async def _(t: Trial) -> None:
    broker, proxy = await proxied(t)
    judge = await t.adopt(t.harness.dial(t.harness.url(t.domain, at=proxy.address)))
    for outage in (proxy.swallow, proxy.refuse):
        working = await _two_at_work(t, broker)
        slow = next(iter(working))
        await _in_contact(t, judge)
        await t.harness.silence(slow)
        outage()
        await t.advance(1.5 * t.lease)
        proxy.heal()
        t.note("the network was gone for a lease and a half")
        await _survive(t, judge, working, slow)


@case(
    "ses.paused-server",
    needs=STEADY,
    tier=Tier.RESILIENT,
    budget=BUDGET,
    why="a server that stood still for longer than the lease has heard nobody's beats: that is nobody's death",
    hint="a stall starts the lease of contact anew, as a restart does",
)
async def _(t: Trial) -> None:
    broker, judge = await t.broker(), await t.broker()
    working = await _two_at_work(t, broker)
    slow = next(iter(working))
    await _in_contact(t, judge)
    await t.harness.silence(slow)
    async with t.harness.pause_server():
        await t.advance(1.5 * t.lease)
    t.note("the server stood still for a lease and a half")
    await _survive(t, judge, working, slow)


@case(
    "fault.structures-deleted",
    budget=BUDGET,
    why="keys, tables or topics removed under a running client: they are made anew, or it gets a typed error,"
    " retryable unless the broker has to be opened again; nothing stalls in silence",
    hint="make what is missing where it is found missing; wake, or fail, whoever waits on it",
)
async def _(t: Trial) -> None:
    broker = await t.broker()
    session, (delivery,) = await t.running(broker, t.envelope())
    waiting, queue = await t.session(broker, t.queue("other")), t.queue("other")
    got: list[Delivery] = []

    async def wait() -> None:
        try:
            got.extend(await waiting.fetch(Want(1, [(queue, 1)]), wait=FAR))
        except OrcastraError as error:
            t.note(f"the waiting fetch → {type(error).__name__}: {error}")

    envelope = t.envelope("other")
    async with asyncio.TaskGroup() as group:
        hearing = group.create_task(wait())
        await t.advance(t.moment)
        await t.harness.wreck(t.domain)
        t.note("the domain's structures were removed")
        (answer,) = await t.publish(broker, envelope)
        if isinstance(answer, Unknown) and not answer.error.retryable:
            t.note("it says that a repeat is of no use: it is opened again")
            await broker.close()
            await broker.open()
        await repeated(t, broker, [envelope])
        await bounded(t, asyncio.shield(hearing), "a waiting fetch gets what is published now, or raises")
    calls: list[Callable[[], Awaitable[object]]] = [
        lambda: t.fetch(session, Want(1, [(t.queue(), 1)])),
        lambda: t.settle(session, t.complete(delivery)),
        session.held,
    ]
    for call in calls:
        try:
            await bounded(t, call(), "each call answers, or raises")
        except OrcastraError as error:
            t.note(f"→ {type(error).__name__}: {error}")
    fresh = await bounded(t, again(t, partial(t.session, broker, queue), "open_session"), "a session can be opened")
    got += await t.take(fresh, 1 - len(got), queue)
    t.expect.equal([d.envelope.id for d in got], [envelope.id], "what is published afterwards is delivered")
