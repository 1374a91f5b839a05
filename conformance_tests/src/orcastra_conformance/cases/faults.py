"""Connections that break: cut, silent, closed by half, slow. The same broker works again afterwards."""

from __future__ import annotations

import asyncio
from functools import partial

from orcastra_conformance.engine.case import case
from orcastra_conformance.engine.trial import FAR, Trial
from orcastra_conformance.faults.patience import (
    BUDGET,
    again,
    bounded,
    known,
    mark,
    repeated,
    sprung,
    tried,
)
from orcastra_conformance.faults.patient import Patient
from orcastra_conformance.faults.proxy import proxied
from orcastra_conformance.faults.valve import Way
from orcastra_core.model.counts import Counts
from orcastra_core.model.delivery import Want
from orcastra_core.model.envelope import Envelope
from orcastra_core.model.ids import TaskId
from orcastra_core.model.profile import Cap
from orcastra_core.model.queue import QueueSpec
from orcastra_core.model.result import Result

STEADY = [Cap.STABLE_SESSION, Cap.FENCED]


@case(
    "fault.cut-during-publish",
    budget=BUDGET,
    why="connections cut again and again under many publishers: what was confirmed is there; what got no answer is"
    " Unknown, and a repeat is harmless",
)
async def _(t: Trial) -> None:
    direct = await t.broker()
    t.needs_repeats()
    broker, proxy = await proxied(t)
    sent: list[Envelope] = []
    confirmed: list[Envelope] = []
    big = bytes(min(t.profile.limits.max_body, 100_000))
    for _ in range(12):
        batches = [t.envelopes(3, body=t.rng.choice([big, b"small"])) for _ in range(4)]
        sent += [envelope for batch in batches for envelope in batch]
        proxy.trap(b"", t.rng.choice(list(Way)), at=t.rng.randrange(8), part=t.rng.choice([0.0, 0.3, 1.0]))
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(tried(t, t.publish(broker, *batch), "publish")) for batch in batches]
        proxy.heal()
        unsure: list[Envelope] = []
        for task, batch in zip(tasks, batches, strict=True):
            answers = t.expect.found(task.result(), "publish does not raise because a connection was lost")
            confirmed += (sure := known(t, answers, batch))
            unsure += [envelope for envelope in batch if envelope not in sure]
        if unsure and t.rng.random() < 0.5:
            await repeated(t, broker, unsure)
            confirmed += unsure
    got: list[TaskId] = []
    reader, want = await t.session(direct), Want(20, [(t.queue(), 20)])
    whole = {envelope.id: envelope.body for envelope in sent}
    while taken := await t.fetch(reader, want):
        got += [delivery.envelope.id for delivery in taken]
        for delivery in taken:
            body = t.expect.is_a(delivery.envelope, Envelope, "whole, or not at all").body
            t.expect.true(body == whole[delivery.envelope.id], "whole, or not at all")
        await t.done(reader, *(t.complete(delivery) for delivery in taken))
    t.expect.same(set(got), got, "each at most once")
    t.expect.equal({e.id for e in confirmed} - set(got), set(), "what was confirmed is delivered")
    t.expect.equal(set(got) - {e.id for e in sent}, set(), "nothing else is")


@case(
    "fault.cut-during-receive",
    needs=STEADY,
    budget=BUDGET,
    why="connections cut at any moment of a fetch: nothing is lost, nothing is with two sessions, and no count changes",
)
async def _(t: Trial) -> None:
    direct = await t.broker()
    broker, proxy = await proxied(t)
    session, rival = await t.session(broker), await t.session(direct)
    patient, want = Patient(t, session), Want(2, [(t.queue(), 2)])
    for at, part in [(at, part) for at in range(4) for part in (0.0, 0.5, 1.0)]:
        sent = t.envelopes(4)
        await t.stored(direct, *sent)
        proxy.trap(b"", Way.UP, at=at, part=part)
        mine = list(await tried(t, t.fetch(session, want), "fetch") or [])
        theirs = await t.fetch(rival, want)
        proxy.heal()
        while len(mine) + len(theirs) < 4 and (more := await t.fetch(patient, want)):
            mine += more
        t.expect.same([d.envelope.id for d in [*mine, *theirs]], [e.id for e in sent], "each with one session")
        t.expect.equal({d.counts for d in [*mine, *theirs]}, {Counts(0, 0, 0)}, "that counts as nothing")
        t.expect.same(map(str, await patient.held()), [str(d.receipt) for d in mine], "held() is what was seen")
        await t.done(patient, *(t.complete(delivery) for delivery in mine))
        await t.done(rival, *(t.complete(delivery) for delivery in theirs))


@case(
    "fault.half-open",
    budget=BUDGET,
    why="a connection that leads nowhere: each call raises, or is Unknown, in bounded time;"
    " once it leads somewhere the same broker and session go on",
    hint="TCP alone notices after hours: put a deadline on every answer, or ping",
)
async def _(t: Trial) -> None:
    broker, proxy = await proxied(t)
    session, (delivery,) = await t.running(broker, t.envelope())
    waiting = await t.session(broker)
    proxy.swallow()
    envelope, want = t.envelope(), Want(1, [(t.queue(), 1)])
    async with asyncio.TaskGroup() as group:
        publishing = group.create_task(bounded(t, t.publish(broker, envelope), "publish is Unknown in bounded time"))
        group.create_task(tried(t, waiting.fetch(want, wait=FAR), "a fetch that waits"))
        group.create_task(tried(t, t.settle(session, t.complete(delivery), number=1), "settle"))
        group.create_task(tried(t, waiting.signals(wait=FAR), "signals"))
        group.create_task(tried(t, broker.open_session([t.queue()], lease=t.lease), "open_session"))
    t.expect.equal(known(t, publishing.result(), [envelope]), [], "nobody can have confirmed it")
    proxy.heal()
    await again(t, partial(broker.declare, [QueueSpec(t.queue())]), "declare")
    if t.claims(*STEADY):
        await t.settle(Patient(t, session), t.complete(delivery), number=1)
    await repeated(t, broker, [envelope])
    if t.profile.partitioned:  # who reads a partition keeps it, if he came through that
        for reader in (session, waiting):
            await reader.leave()
    fresh = await again(t, partial(t.session, broker), "open_session")
    heir = Patient(t, waiting if t.claims(*STEADY) else fresh)
    taken = await t.one(heir)
    if taken.envelope.id == delivery.envelope.id and not t.claims(*STEADY):
        await t.done(heir, t.complete(taken))  # its session was lost with the connection
        taken = await t.one(heir)
    t.expect.equal(taken.envelope.id, envelope.id, "publish and fetch work again")
    await t.done(heir, t.complete(taken))


@case(
    "fault.half-close",
    budget=BUDGET,
    why="a connection of which one direction was closed is a lost one: calls are answered or raise in bounded time,"
    " and the broker connects anew by itself",
)
async def _(t: Trial) -> None:
    direct = await t.broker()
    broker, proxy = await proxied(t)
    for way in Way:
        session = await again(t, partial(t.session, broker), "open_session")
        proxy.half_close(way)
        envelope = t.envelope()
        answers = await bounded(t, t.publish(broker, envelope), "publish is answered, or Unknown")
        if not known(t, answers, [envelope]) and t.profile.limits.publish_window:
            await repeated(t, broker, [envelope])
        await tried(t, session.fetch(Want(1, [(t.queue("other"), 1)]), wait=0), "fetch")
        await again(t, partial(broker.declare, [QueueSpec(t.queue())]), "declare")
        if t.claims(*STEADY):
            t.expect.equal(list(await Patient(t, session).held()), [], "its session lives")
        reader = await t.session(direct)
        await t.drain(reader, because="to begin anew")
        await t.leave(reader)


@case(
    "fault.slow-consumer",
    budget=BUDGET,
    why="a client that does not read what it asked for holds up nobody else, and gets it when it reads on",
)
async def _(t: Trial) -> None:
    direct = await t.broker()
    broker, proxy = await proxied(t)
    size, number, pattern = min(t.profile.limits.max_body, 256 * 1024), 32, mark(t)
    slow = await t.session(broker, t.queue("big"))
    for _ in range(number):  # each another, so that nothing is sent short
        await t.stored(direct, t.envelope("big", body=pattern + t.rng.randbytes(size - len(pattern))))
    want = Want(number, [(t.queue("big"), number)])
    trap = proxy.trap(pattern, Way.DOWN, part=1.0, then=partial(proxy.hold, Way.DOWN))

    async def work() -> None:
        session, (delivery,) = await t.running(direct, t.envelope())
        await t.done(session, t.complete(delivery))
        await session.leave()

    async with asyncio.TaskGroup() as group:
        reading = group.create_task(tried(t, slow.fetch(want, wait=0), "a slow fetch"))
        await sprung(t, trap)
        for _ in range(5):
            await t.soon(work(), "somebody else's connection is as fast as ever")
        proxy.heal()
    got = list(reading.result() or [])
    if t.claims(*STEADY):
        patient = Patient(t, slow)
        while len(got) < number and (more := await patient.fetch(want, wait=0)):
            got += more
        t.expect.equal(len(got), number, "it gets all it asked for")


@case(
    "fault.feed-recovers",
    needs=[Cap.RESULTS],
    budget=BUDGET,
    why="a feed whose connection was lost may miss results, and says BrokerUnavailable;"
    " those of later are pushed to it again, and what it missed can be read",
    hint="subscribe anew when the connection is made anew",
)
async def _(t: Trial) -> None:
    direct = await t.broker()
    broker, proxy = await proxied(t)
    store = t.expect.found(broker.results, "RESULTS is claimed: the sub-service is there")
    feed = await store.subscribe()
    session, (missed, later) = await t.running(direct, *t.envelopes(2, reply=feed.channel))

    async def told(task_id: TaskId) -> None:
        while task_id not in [r.id for r in await again(t, partial(feed.next, wait=FAR), "feed.next")]:
            pass

    async with asyncio.TaskGroup() as group:
        group.create_task(tried(t, feed.next(wait=FAR), "feed.next"))
        await t.advance(t.moment)
        proxy.refuse()
    await t.done(session, t.complete(missed))
    proxy.heal()
    (result,) = await again(t, partial(store.get, [missed.envelope.id]), "results.get")
    t.expect.is_a(result, Result, "what was missed can be read")
    async with asyncio.TaskGroup() as group:
        hearing = group.create_task(told(later.envelope.id))
        await t.advance(t.moment)
        await t.done(session, t.complete(later))
        await bounded(t, asyncio.shield(hearing), "it is pushed again")
