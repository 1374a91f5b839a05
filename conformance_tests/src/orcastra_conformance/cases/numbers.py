"""Numbered settles: a repeat after a lost reply."""

from __future__ import annotations

from orcastra_conformance.engine.case import case
from orcastra_conformance.engine.steps import cancelled_after, growing_steps
from orcastra_conformance.engine.tiers import Tier
from orcastra_conformance.engine.trial import Trial
from orcastra_core.model.counts import Counts
from orcastra_core.model.event import EventKind
from orcastra_core.model.profile import Cap
from orcastra_core.model.result import Result
from orcastra_core.model.settlement import STALE, Done, Settlement


@case("num.repeat", why="a repeated number gets the answer of the first call, not STALE, and nothing happens twice")
async def _(t: Trial) -> None:
    broker = await t.broker()
    t.needs_repeats()
    session, (a, b, c) = await t.running(broker, *t.envelopes(3))
    follow_up = t.envelope("next")
    batch: list[Settlement] = [t.complete(a, emit=[follow_up]), t.retry(b), t.complete(a), t.release(c)]
    first = await t.settle(session, *batch, number=1)
    t.expect.equal([type(x) is Done for x in first], [True, True, False, True], "the first call takes effect")
    for _ in range(3):
        t.expect.equal(list(await t.settle(session, *batch, number=1)), list(first), "the repeat gets the same answers")
    await t.take(session, 1, t.queue("next"))
    again = {d.envelope.id: d.counts for d in await t.take(session, 2)}
    t.expect.equal(again, {b.envelope.id: Counts(1, 0, 0), c.envelope.id: Counts(0, 0, 1)}, "each was counted once")
    await t.nothing(session, t.queue(), t.queue("next"), because="nothing was published or handed back twice")


@case("num.window", why="the store keeps the answers of the last settle_window numbers")
async def _(t: Trial) -> None:
    broker = await t.broker()
    t.needs_repeats()
    window = t.profile.limits.settle_window
    session, taken = await t.running(broker, *t.envelopes(window))
    batches = [[t.complete(delivery)] for delivery in taken]
    for number, batch in enumerate(batches, 1):
        await t.settle(session, *batch, number=number)
    for number, batch in reversed(list(enumerate(batches, 1))):
        (answer,) = await t.settle(session, *batch, number=number)
        t.expect.is_a(answer, Done, f"number {number} is one of the last {window}")


@case("num.too-old", why="a number that is neither new nor kept answers STALE and has no effect")
async def _(t: Trial) -> None:
    broker = await t.broker()
    t.needs_repeats()
    window = t.profile.limits.settle_window
    session, taken = await t.running(broker, *t.envelopes(window + 3))
    for number in range(2, window + 3):
        await t.settle(session, t.complete(taken[number]), number=number)
    t.expect.equal(list(await t.settle(session, t.complete(taken[1]), number=1)), [STALE], "that number has passed")
    t.expect.equal(len(await session.held()), 2, "both are still held")
    answers = await t.settle(session, t.complete(taken[0]), t.complete(taken[1]), number=window + 3)
    t.expect.equal([type(a) for a in answers], [Done, Done], "under a new number they are settled")


@case("num.per-session", why="numbers belong to a session: the same number in another one is another batch")
async def _(t: Trial) -> None:
    broker = await t.broker()
    one, (a,) = await t.running(broker, t.envelope())
    other, (b,) = await t.running(broker, t.envelope())
    t.expect.is_a((await t.settle(one, t.complete(a), number=1))[0], Done, "its first")
    t.expect.is_a((await t.settle(other, t.complete(b), number=1))[0], Done, "the other's first")
    t.expect.equal([*await one.held(), *await other.held()], [], "both took effect")


@case(
    "num.fenced",
    needs=[Cap.FENCED],
    why="the reap removes the session's record: after it even a repeat is STALE",
)
async def _(t: Trial) -> None:
    broker = await t.broker()
    session, (delivery,) = await t.running(broker, t.envelope())
    await t.settle(session, t.complete(delivery), number=1)
    await broker.expire(session.id)
    t.expect.equal(list(await t.settle(session, t.complete(delivery), number=1)), [STALE], "the session is gone")


@case(
    "num.cancelled-settle",
    tier=Tier.TRANSACTIONAL,
    slow=True,
    why="after a cancelled settle its repeat gets the first answer, and all of it took effect once",
)
async def _(t: Trial) -> None:
    broker = await t.broker()
    t.needs_repeats()
    session = await t.session(broker, t.queue(), t.queue("next"))
    for number, steps in enumerate(growing_steps(2000), 1):
        await t.stored(broker, t.envelope(), t.envelope())
        done, tried = await t.take(session, 2)
        follow_up = t.envelope("next")
        event = t.event(EventKind.COMPLETED, done.envelope.id)
        batch: list[Settlement] = [t.complete(done, emit=[follow_up], events=event), t.retry(tried)]
        cut = await cancelled_after(steps, session.settle(batch, number=number))
        answers = await t.settle(session, *batch, number=number)
        t.expect.equal(
            [type(a) for a in answers], [Done, Done], f"cancelled after {steps} steps: the repeat is Done, not STALE"
        )
        if cut.finished:
            t.expect.equal(list(answers), list(cut.value or []), "the same answer")
        t.expect.equal((await t.one(session)).counts, Counts(1, 0, 0), "the attempt was counted once")
        t.expect.equal((await t.one(session, t.queue("next"))).envelope.id, follow_up.id, "the follow-up is there")
        await t.nothing_now(session, t.queue(), t.queue("next"), because="once")
        if broker.events is not None:
            told = [e for e in await broker.events.read(limit=1000) if e.event.task_id == done.envelope.id]
            t.expect.equal(len(told), 1, "the event was appended once")
        if cut.finished:
            break


@case(
    "num.cancelled-dead",
    tier=Tier.TRANSACTIONAL,
    slow=True,
    why="a cancelled settle of a dead letter, a release and a move, done again: each took effect once, with all it carries",
)
async def _(t: Trial) -> None:
    broker = await t.broker()
    t.needs_repeats()
    session = await t.session(broker, t.queue(), t.queue("next"))
    for number, steps in enumerate(growing_steps(2000), 1):
        await t.stored(broker, *t.envelopes(3))
        dead, released, moved = await t.take(session, 3)
        follow_up = t.envelope("next")
        event = t.event(EventKind.DEAD, dead.envelope.id)
        batch: list[Settlement] = [
            t.dead(dead, emit=[follow_up], events=event),
            t.release(released),
            t.moved(moved),
        ]
        cut = await cancelled_after(steps, session.settle(batch, number=number))
        answers = await t.settle(session, *batch, number=number)
        after = f"cancelled after {steps} steps"
        t.expect.equal([type(answer) for answer in answers], [Done] * 3, f"{after}: the repeat is Done, not STALE")
        t.expect.equal((await t.one(session)).counts, Counts(0, 0, 1), f"{after}: it was released once")
        t.expect.equal((await t.one(session, t.queue("next"))).envelope.id, follow_up.id, f"{after}: the follow-up")
        await t.nothing_now(session, t.queue(), t.queue("next"), because=f"{after}: nothing twice")
        if broker.dead_letters is not None:
            t.expect.found((await broker.dead_letters.get([dead.envelope.id]))[0], f"{after}: it is a dead letter")
        if broker.results is not None:
            t.expect.is_a((await broker.results.get([dead.envelope.id]))[0], Result, f"{after}: it has a result")
        if broker.events is not None:
            told = [e for e in await broker.events.read(limit=1000) if e.event.task_id == dead.envelope.id]
            t.expect.equal(len(told), 1, f"{after}: one event")
        if cut.finished:
            break
