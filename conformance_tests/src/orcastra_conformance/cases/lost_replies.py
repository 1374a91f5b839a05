"""Replies that never arrive: what was asked for was done, or not, and a repeat finds out without harm."""

from __future__ import annotations

import asyncio
import itertools
from functools import partial

from orcastra_conformance.engine.case import case
from orcastra_conformance.engine.trial import FAR, Trial
from orcastra_conformance.faults.patience import BUDGET, CUTS, known, mark, repeated, sprung, tried, went_by
from orcastra_conformance.faults.patient import Patient
from orcastra_conformance.faults.proxy import proxied
from orcastra_conformance.faults.valve import Way
from orcastra_core.model.counts import Counts
from orcastra_core.model.delivery import Want
from orcastra_core.model.event import EventKind
from orcastra_core.model.ids import bytes_of
from orcastra_core.model.profile import Cap
from orcastra_core.model.session import CancelTask
from orcastra_core.model.settlement import STALE, Settlement

STEADY = [Cap.STABLE_SESSION, Cap.FENCED]


@case(
    "pub.lost-reply",
    budget=BUDGET,
    why="a publish whose reply is lost is Unknown, does not raise, and a repeat is harmless: stored once",
    hint="cut before, within and after each chunk of the conversation; the history says where",
)
async def _(t: Trial) -> None:
    direct = await t.broker()
    t.needs_repeats()
    broker, proxy = await proxied(t)
    witness = await t.session(direct)
    for at, part in CUTS:
        body = mark(t)
        sent = t.envelopes(3, body=body)
        trap = proxy.trap(body, Way.UP, at=at, part=part)
        answers = await tried(t, t.publish(broker, *sent), "publish")
        went_by(t, trap)
        proxy.heal()
        known(t, t.expect.found(answers, "publish does not raise for a lost connection"), sent)
        await repeated(t, broker, sent)
        taken = await t.take(witness, 3)
        t.expect.same([d.envelope.id for d in taken], [e.id for e in sent], "each is stored once")
        await t.nothing_now(witness, because="each is stored once")
        await t.done(witness, *(t.complete(delivery) for delivery in taken))
        if not trap.sprung.is_set():
            return


@case(
    "con.lost-reply",
    needs=STEADY,
    budget=BUDGET,
    why="after a fetch whose reply was lost, the next one first hands out what the store says this session holds"
    " and its caller never saw",
    hint="compare what the session holds with what its caller was given, whenever a fetch has failed",
)
async def _(t: Trial) -> None:
    direct = await t.broker()
    broker, proxy = await proxied(t)
    session, rival = await t.session(broker), await t.session(direct)
    patient, want = Patient(t, session), Want(2, [(t.queue(), 2)])
    for part in (0.0, 0.5, 1.0):
        body = mark(t)
        sent = t.envelopes(5, body=body)
        await t.stored(direct, *sent)
        seen = [await t.one(patient)]
        trap = proxy.trap(body, Way.DOWN, part=part)
        seen += await tried(t, t.fetch(session, want), "fetch") or []
        went_by(t, trap)
        proxy.heal()
        seen += await t.take(patient, 3 - len(seen))
        t.in_order([d.envelope.id for d in seen], [e.id for e in sent[:3]], "what it held and never saw comes first")
        t.expect.equal({d.counts for d in seen}, {Counts(0, 0, 0)}, "that counts as nothing: its session was alive")
        t.expect.same(map(str, await patient.held()), [str(d.receipt) for d in seen], "held() is what was seen")
        seen += await t.take(rival, 2)
        t.expect.same([d.envelope.id for d in seen], [e.id for e in sent], "each task is with one session")
        await t.done(patient, *(t.complete(delivery) for delivery in seen[:3]))
        await t.done(rival, *(t.complete(delivery) for delivery in seen[3:]))


@case(
    "con.late-request",
    needs=STEADY,
    budget=BUDGET,
    why="a fetch that was given up has no effect any more once the next one has begun,"
    " also if its request was still on its way",
    hint="number the fetches of a session, and have the store refuse one that is older than the last it saw",
)
async def _(t: Trial) -> None:
    direct = await t.broker()
    broker, proxy = await proxied(t)
    queue = t.queue(mark(t).decode())
    session, rival = await t.session(broker, queue), await t.session(direct, queue)
    want = Want(1, [(queue, 1)])
    t.expect.equal(await t.fetch(session, want), [], "the queue is empty")
    trap = proxy.trap(queue.encode(), Way.UP, part=1.0, then=partial(proxy.hold, Way.UP), first=True)

    async def fetch() -> None:
        t.expect.true(not await tried(t, t.fetch(session, want), "fetch"), "there is nothing to fetch")

    async with asyncio.TaskGroup() as group:
        group.create_task(fetch())
        await sprung(t, trap)
        proxy.strand()
    patient = Patient(t, session)
    t.expect.equal(await t.fetch(patient, want), [], "the next fetch finds nothing")
    envelope = t.envelope(queue)
    await t.stored(direct, envelope)
    await t.soon(proxy.land(), "the server reads what was late, and the end of the connection")
    t.expect.equal(list(await patient.held()), [], "the late request took nothing")
    t.expect.equal((await t.one(rival, queue)).envelope.id, envelope.id, "so somebody else gets it")


@case(
    "num.lost-reply",
    needs=STEADY,
    budget=BUDGET,
    why="a settle whose reply was lost is repeated under its number: it gets the answers of the first call,"
    " not STALE, and nothing takes effect twice",
    hint="keep the answers with the effects, in one step, by session and number",
)
async def _(t: Trial) -> None:
    direct = await t.broker()
    t.needs_repeats()
    broker, proxy = await proxied(t)
    session = await t.session(broker)
    patient, witness = Patient(t, session), await t.session(direct, t.queue("next"))
    numbers = itertools.count(1)
    for at, part in CUTS:
        await t.stored(direct, *t.envelopes(3))
        done, failed, back = await t.take(patient, 3)
        follow_up, value, number = t.envelope("next"), mark(t), next(numbers)
        event = t.event(EventKind.COMPLETED, done.envelope.id)
        batch: list[Settlement] = [
            t.complete(done, value, emit=[follow_up], events=event),
            t.retry(failed),
            t.complete(done),
            t.release(back),
        ]
        trap = proxy.trap(value, Way.UP, at=at, part=part)
        first = await tried(t, t.settle(session, *batch, number=number), "settle")
        went_by(t, trap)
        proxy.heal()
        answers = await t.settle(patient, *batch, number=number)
        kinds = ["STALE" if answer is STALE else type(answer).__name__ for answer in answers]
        t.expect.equal(kinds, ["Done", "Done", "STALE", "Done"], "the repeat gets the answers of the first call")
        t.expect.true(first is None or list(first) == list(answers), "the same answers, if there were any")
        taken = await t.take(patient, 2)
        t.expect.equal(
            {delivery.envelope.id: delivery.counts for delivery in taken},
            {failed.envelope.id: Counts(1, 0, 0), back.envelope.id: Counts(0, 0, 1)},
            "the attempt and the release were counted once",
        )
        t.expect.equal((await t.one(witness, t.queue("next"))).envelope.id, follow_up.id, "the follow-up is there")
        await t.nothing_now(witness, t.queue(), t.queue("next"), because="nothing was handed out or published twice")
        if direct.events is not None:
            told = [e for e in await direct.events.read(limit=1000) if e.event.task_id == done.envelope.id]
            t.expect.equal(len(told), 1, "the event was appended once")
        await t.settle(patient, *(t.complete(delivery) for delivery in taken), number=next(numbers))
        if not trap.sprung.is_set():
            return


@case(
    "can.lost-reply",
    needs=[Cap.CANCEL, *STEADY],
    budget=BUDGET,
    why="CancelTask is repeated until the task is settled or the caller has seen it, also if the reply that told it was lost",
    hint="keep a signal until the next call shows that the last one's answer has arrived",
)
async def _(t: Trial) -> None:
    direct = await t.broker()
    broker, proxy = await proxied(t)
    session, (delivery,) = await t.running(broker, t.envelope())
    task_id = delivery.envelope.id

    trap = proxy.trap((task_id.encode(), bytes_of(task_id)), Way.DOWN)
    async with asyncio.TaskGroup() as group:
        listening = group.create_task(tried(t, session.signals(wait=FAR), "signals"))
        await t.advance(t.moment)
        await t.cancel(direct, task_id)
        await sprung(t, trap)
    proxy.heal()
    patient, signals = Patient(t, session), list(listening.result() or [])
    while CancelTask(task_id) not in signals:
        signals += await t.soon(patient.signals(wait=FAR), "it is told again")
    await t.done(patient, t.complete(delivery))
