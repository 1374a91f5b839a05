"""Sessions: beating, lapsing, leaving, and the counts."""

from __future__ import annotations

from orcastra_conformance.engine.case import case
from orcastra_conformance.engine.trial import Trial
from orcastra_core.model.counts import Counts
from orcastra_core.model.delivery import Want
from orcastra_core.model.errors import BrokerClosed, InvalidOption
from orcastra_core.model.profile import Cap

STEADY = [Cap.STABLE_SESSION, Cap.FENCED]


@case("ses.lapse-revived", needs=STEADY, slow=True, why="a lapsed session is only suspect; its next beat revives it")
async def _(t: Trial) -> None:
    broker, judge = await t.broker(), await t.broker()
    session, (delivery,) = await t.running(broker, t.envelope())
    await t.lapse(session)
    await t.harness.revive(session)
    swept = await judge.sweep(limit=10)
    t.expect.equal((list(swept.sessions), list(swept.lost)), ([], []), "it beats again: nobody reaps it")
    await t.done(session, t.complete(delivery))


@case(
    "ses.lapsed-still-works",
    needs=STEADY,
    slow=True,
    why="only the reap fences: a session that missed its beats may still settle",
)
async def _(t: Trial) -> None:
    broker = await t.broker()
    session, (delivery,) = await t.running(broker, t.envelope())
    await t.lapse(session)
    await t.done(session, t.complete(delivery))
    await t.harness.revive(session)


@case(
    "ses.healthy-for-long",
    needs=STEADY,
    slow=True,
    why="a healthy task may run for many leases and is never handed out again",
)
async def _(t: Trial) -> None:
    broker, judge = await t.broker(), await t.broker()
    session, (delivery,) = await t.running(broker, t.envelope())
    rival = await t.session(judge)
    for _ in range(5 if t.lease > 2 else 2):
        await t.advance(t.lease * 1.1)
        swept = await judge.sweep(limit=10)
        t.expect.equal(list(swept.sessions), [], "nobody healthy is reaped")
        await t.nothing(rival, because="nothing was handed out again")
    await t.done(session, t.complete(delivery))


@case(
    "ses.leave-releases", why="leave releases what is unsettled, released + 1, and ends the session; it is idempotent"
)
async def _(t: Trial) -> None:
    broker = await t.broker()
    session, taken = await t.running(broker, *t.envelopes(3))
    await t.done(session, t.complete(taken[0]))
    await session.leave()
    await session.leave()
    heir = await t.session(broker)
    again = await t.take(heir, 2)
    t.expect.same([d.envelope.id for d in again], [d.envelope.id for d in taken[1:]], "the unsettled come again")
    t.expect.equal({d.counts for d in again}, {Counts(0, 0, 1)}, "as released, not as lost")
    await t.expect.raises(
        BrokerClosed, session.fetch(Want(1, [(t.queue(), 1)]), wait=0), "a session that was left is over"
    )
    await t.expect.raises(
        BrokerClosed, session.settle([t.complete(taken[1])], number=9), "a session that was left is over"
    )
    t.expect.equal(await broker.expire(session.id), 0, "there is nothing to reap")


@case("ses.close-is-not-leave", slow=True, why="sessions that were not left are not released by close: they lapse")
async def _(t: Trial) -> None:
    broker, judge = await t.broker(), await t.broker()
    await t.running(broker, t.envelope())
    await judge.sweep(limit=10)
    await broker.close()
    await t.advance(t.lease * 1.1 + t.moment)
    await judge.sweep(limit=10)
    t.expect.equal((await t.one(await t.session(judge))).counts, Counts(0, 1, 0), "it is lost, not released")


@case("ses.counts", why="the three counts: attempt, lost since the last settlement, released")
async def _(t: Trial) -> None:
    broker = await t.broker()
    await t.stored(broker, t.envelope())

    async def lose() -> None:
        session = await t.session(broker)
        await t.one(session)
        await broker.expire(session.id)

    await lose()
    await lose()
    session = await t.session(broker)
    delivery = await t.one(session)
    t.expect.equal(delivery.counts, Counts(0, 2, 0), "two sessions died holding it")
    await t.done(session, t.retry(delivery))
    delivery = await t.one(session)
    t.expect.equal(delivery.counts, Counts(1, 0, 0), "a failed attempt is a settlement: lost starts anew")
    await broker.expire(session.id)
    session = await t.session(broker)
    await t.done(session, t.release(await t.one(session)))
    t.expect.equal((await t.one(session)).counts, Counts(1, 0, 1), "a release is a settlement too")


@case("ses.ids-never-reused", why="a session's id is never reused in the domain")
async def _(t: Trial) -> None:
    ids: set[str] = set()
    for _ in range(3):
        broker = await t.broker()
        for _ in range(3):
            session = await t.session(broker)
            ids.add(session.id)
            await session.leave()
        await broker.close()
    t.expect.equal(len(ids), 9, "nine sessions, nine ids")


@case("ses.least-lease", why="a lease below limits.min_lease is refused")
async def _(t: Trial) -> None:
    broker = await t.broker()
    least = t.profile.limits.min_lease
    await t.expect.raises(
        InvalidOption, broker.open_session([t.queue()], lease=least / 2), "half of min_lease is too short"
    )
    session = await broker.open_session([t.queue()], lease=least)
    t.expect.true(session.lease >= least, "min_lease itself is granted")
    await session.leave()


@case(
    "ses.beat-for-another",
    needs=[Cap.STABLE_SESSION],
    slow=True,
    why="a supervisor beats for a session; False once it was reaped",
)
async def _(t: Trial) -> None:
    broker, shepherd = await t.broker(), await t.broker()
    session, (delivery,) = await t.running(broker, t.envelope())
    await shepherd.sweep(limit=10)
    await t.lapse(session)
    t.expect.equal(await shepherd.beat(session.id), True, "it is lapsed, not reaped")
    t.expect.equal(list((await shepherd.sweep(limit=10)).sessions), [], "the beat revived it")
    await t.done(session, t.complete(delivery))
    await broker.expire(session.id)
    t.expect.equal(await shepherd.beat(session.id), False, "it was reaped")
