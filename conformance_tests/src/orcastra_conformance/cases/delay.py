"""Delay."""

from __future__ import annotations

from orcastra_conformance.engine.case import case
from orcastra_conformance.engine.expect import NotApplicable
from orcastra_conformance.engine.trial import FAR, Trial
from orcastra_core.model.counts import Counts
from orcastra_core.model.profile import Cap
from orcastra_core.model.published import Refused
from orcastra_core.model.session import DueSoon

DELAY = [Cap.DELAY]


@case("delay.not-before", needs=DELAY, why="not before its due moment")
async def _(t: Trial) -> None:
    broker = await t.broker()
    session = await t.session(broker)
    await t.stored(broker, t.envelope(due=t.now() + FAR))
    promotion = await t.promote(broker)
    t.expect.equal(promotion.done, 0, "nothing is due")
    await t.nothing(session, because="it is due in an hour")


@case("delay.arrives", needs=DELAY, why="once due it is handed out, and promote says when")
async def _(t: Trial) -> None:
    broker = await t.broker()
    session = await t.session(broker)
    envelope = t.envelope(due=t.now() + 2 * t.moment)
    await t.stored(broker, envelope)
    promotion = await t.promote(broker)
    if promotion.next_in is not None:
        t.expect.true(promotion.next_in <= 2 * t.moment, "promote knows when to come again")
    await t.advance(3 * t.moment)
    await t.promote(broker)
    t.expect.equal((await t.one(session)).envelope.id, envelope.id, "its moment has come")


@case("delay.past-is-now", needs=DELAY, why="a due moment that has passed is no delay")
async def _(t: Trial) -> None:
    broker = await t.broker()
    session = await t.session(broker)
    sent = [t.envelope(due=t.now() - 1000), t.envelope(due=0.0)]
    await t.stored(broker, *sent)
    await t.promote(broker)
    t.expect.same([d.envelope.id for d in await t.take(session, 2)], [e.id for e in sent], "both are handed out")


@case("delay.by-due-time", needs=DELAY, why="delayed envelopes become ready in order of their due moments")
async def _(t: Trial) -> None:
    broker = await t.broker()
    session = await t.session(broker)
    base = t.now() + t.moment
    late, early, middle = (t.envelope(due=base + n * t.moment / 10) for n in (3, 1, 2))
    await t.stored(broker, late, early, middle)
    await t.advance(3 * t.moment)
    await t.promote(broker)
    t.in_order([d.envelope.id for d in await t.take(session, 3)], [early.id, middle.id, late.id], "earliest first")


@case(
    "delay.survives-clients",
    needs=DELAY,
    why="a delayed envelope needs none of the clients that were there when it was published",
)
async def _(t: Trial) -> None:
    first = await t.broker()
    envelope = t.envelope(due=t.now() + 2 * t.moment)
    await t.stored(first, envelope)
    await first.close()
    await t.advance(3 * t.moment)
    broker = await t.broker()
    await t.promote(broker)
    t.expect.equal((await t.one(await t.session(broker))).envelope.id, envelope.id, "it is handed out all the same")


@case("delay.retry", needs=DELAY, why="Retry and Release hand out again after `after` seconds, not before")
async def _(t: Trial) -> None:
    broker = await t.broker()
    session, (a, b, c, d) = await t.running(broker, *t.envelopes(4))
    await t.done(session, t.retry(a, FAR), t.release(b, FAR), t.retry(c, 2 * t.moment), t.release(d, 2 * t.moment))
    t.expect.equal(len(await session.held()), 0, "what waits is not held")
    await t.advance(3 * t.moment)
    await t.promote(broker)
    got = {x.envelope.id: x.counts for x in await t.take(session, 2)}
    t.expect.equal(got, {c.envelope.id: Counts(1, 0, 0), d.envelope.id: Counts(0, 0, 1)}, "those whose delay is over")
    await t.nothing(session, because="the others wait for an hour")


@case("delay.emit", needs=DELAY, why="`due` means the same in emit")
async def _(t: Trial) -> None:
    broker = await t.broker()
    session, (delivery,) = await t.running(broker, t.envelope())
    soon, far = t.envelope(due=t.now() + 2 * t.moment), t.envelope(due=t.now() + FAR)
    await t.done(session, t.complete(delivery, emit=[far, soon]))
    await t.advance(3 * t.moment)
    await t.promote(broker)
    t.expect.equal((await t.one(session)).envelope.id, soon.id, "the one that is due")
    await t.nothing(session, because="the other is due in an hour")


@case("delay.tells-promoters", needs=DELAY, why="DueSoon: something was deferred; ask promote when it is next due")
async def _(t: Trial) -> None:
    broker, other = await t.broker(), await t.broker()
    if broker.scheduler is None:
        raise NotApplicable("the broker needs no promoter, so there is nobody to tell")
    session = await t.session(broker)
    await t.stored(other, t.envelope(due=t.now() + FAR))
    signals = await t.soon(session.signals(wait=FAR), "a session is told DueSoon")
    t.expect.true(DueSoon() in signals, "the session of another client is told")


@case("delay.limit", needs=DELAY, why="farther away than limits.max_delay is Refused, and not stored")
async def _(t: Trial) -> None:
    broker = await t.broker()
    most = t.profile.limits.max_delay
    (answer,) = await t.publish(broker, t.envelope(due=t.now() + most + 1000))
    t.expect.is_a(answer, Refused, "too far away")
    await t.stored(broker, t.envelope(due=t.now() + most - 1000))
