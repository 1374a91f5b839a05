"""Reaps: what ends a dead session, and who may judge."""

from __future__ import annotations

import asyncio

from orcastra_conformance.engine.case import case
from orcastra_conformance.engine.expect import NotApplicable
from orcastra_conformance.engine.steps import turns
from orcastra_conformance.engine.trial import FAR, Trial
from orcastra_core.model.counts import Counts
from orcastra_core.model.delivery import Want
from orcastra_core.model.errors import SessionFenced
from orcastra_core.model.ids import TaskId
from orcastra_core.model.profile import Cap
from orcastra_core.model.session import Fenced, Swept
from orcastra_core.model.settlement import STALE

_TRIES = 10
"""Sweeps of a judge who may have been held up for a moment, and then has to watch for a little longer."""

STEADY = [Cap.STABLE_SESSION, Cap.FENCED]


@case(
    "ses.reap-fences",
    needs=[Cap.FENCED],
    why="once reaped: fetch raises SessionFenced, settle answers STALE, signals yields Fenced, held is empty",
)
async def _(t: Trial) -> None:
    broker = await t.broker()
    session, (a, b) = await t.running(broker, *t.envelopes(2))
    t.expect.equal(await broker.expire(session.id), 2, "expire says how many it handed out again")
    want = Want(5, [(t.queue(), 5)])
    for _ in range(2):
        await t.expect.raises(SessionFenced, session.fetch(want, wait=0), "fetch is refused, for ever")
        t.expect.equal(list(await t.settle(session, t.complete(a), t.retry(b))), [STALE, STALE], "settle is refused")
        t.expect.equal(
            list(await t.soon(session.signals(wait=FAR), "signals says so")),
            [Fenced()],
            "signals says so, at once and always",
        )
        t.expect.equal(list(await session.held()), [], "it holds nothing")
    heir = await t.session(broker)
    again = await t.take(heir, 2)
    t.in_order([d.envelope.id for d in again], [a.envelope.id, b.envelope.id], "both come again, in their order")
    await session.leave()
    t.expect.equal(len(await heir.held()), 2, "what the dead session says later touches nobody else's")


@case("ses.reap-frees-waiters", needs=[Cap.FENCED], why="a fetch blocked across its own reap gets nothing any more")
async def _(t: Trial) -> None:
    broker, other = await t.broker(), await t.broker()
    session = await t.session(broker)
    async with asyncio.TaskGroup() as group:
        fetch = session.fetch(Want(1, [(t.queue(), 1)]), wait=FAR)
        group.create_task(
            t.soon(t.expect.raises(SessionFenced, fetch, "the waiting fetch is refused"), "the reap wakes")
        )
        listening = group.create_task(session.signals(wait=FAR))
        await turns(20)
        await other.expire(session.id)
        await t.stored(other, t.envelope())
        t.expect.equal(
            list(await t.soon(listening, "the reap wakes signals")), [Fenced()], "the waiting signals is told"
        )
    await t.one(await t.session(other))


@case(
    "ses.expire-hands-over",
    why="expire: its deliveries are handed out again at once, ahead of what was published after them, lost + 1",
)
async def _(t: Trial) -> None:
    broker = await t.broker()
    session, taken = await t.running(broker, *t.envelopes(3))
    later = t.envelope()
    await t.stored(broker, later)
    t.expect.equal(await broker.expire(session.id), 3, "three are handed out again")
    t.expect.equal(await broker.expire(session.id), 0, "it was gone already")
    heir = await t.session(broker)
    got = await t.take(heir, 4)
    ids = [d.envelope.id for d in taken]
    t.in_order([d.envelope.id for d in got], [*ids, later.id], "ahead of what came later")
    lost = {d.envelope.id: d.counts.lost for d in got}
    t.expect.equal([lost[i] for i in [*ids, later.id]], [1, 1, 1, 0], "lost is counted")


@case(
    "ses.sweep-reaps-lapsed",
    slow=True,
    why="sweep reaps a session silent for a lease, and hands its deliveries out again, lost + 1, with a LOST event each",
)
async def _(t: Trial) -> None:
    broker, judge = await t.broker(), await t.broker()
    t.needs_sweeps()
    dead, (a, b) = await t.running(broker, *t.envelopes(2))
    healthy, (c,) = await t.running(broker, t.envelope())
    await judge.sweep(limit=10)
    await t.advance(t.lease * 1.1)  # from now on it may judge
    await t.harness.revive(dead)  # a beat just now
    since = t.now()
    await t.harness.silence(dead)
    await t.advance(t.lease * 0.6)
    swept = await judge.sweep(limit=10)
    if t.now() - since < t.lease * 0.9:  # where time passes in earnest, it may have been more
        t.expect.equal(list(swept.sessions), [], "silent for less than its lease, it is not dead")
    if not swept.sessions:
        await t.advance(t.lease * 1.1 + t.moment)  # it may count from what it saw last
        swept = await judge.sweep(limit=10)
    t.expect.equal(list(swept.sessions), [dead.id], "it alone is reaped")
    t.expect.true(not swept.more, "the limit did not end it")
    told = [(lost.id, lost.queue, lost.counts, lost.session) for lost in swept.lost]
    expected = [(d.envelope.id, t.queue(), Counts(0, 1, 0), dead.id) for d in (a, b)]
    t.expect.same(told, expected, "the sweep says what was lost")
    if t.claims(Cap.FENCED):
        t.expect.equal(list(await t.settle(dead, t.complete(a))), [STALE], "what it says afterwards is refused")
    heir = await t.session(judge)
    t.expect.same(
        [d.envelope.id for d in await t.take(heir, 2)], [a.envelope.id, b.envelope.id], "its tasks run elsewhere"
    )
    await t.done(healthy, t.complete(c))


@case(
    "ses.sweep-needs-contact",
    slow=True,
    why="the first sweep of a fresh broker reaps nobody by lapse: it judges after a full lease of contact",
)
async def _(t: Trial) -> None:
    broker = await t.broker()
    t.needs_sweeps()
    session, (delivery,) = await t.running(broker, t.envelope())
    await t.lapse(session)
    fresh = await t.broker()
    swept = await fresh.sweep(limit=10)
    t.expect.equal(list(swept.sessions), [], "it has only just arrived and cannot judge")
    await t.harness.revive(session)
    await t.done(session, t.complete(delivery))


@case(
    "ses.sweep-limit",
    slow=True,
    why="at most `limit` deliveries go back in one sweep; `more` says that there are others",
)
async def _(t: Trial) -> None:
    broker, judge = await t.broker(), await t.broker()
    t.needs_sweeps()
    session, taken = await t.running(broker, *t.envelopes(25))
    await judge.sweep(limit=10)
    await t.lapse(session)
    lost, sweeps = list[str](), list[Swept]()
    for _ in range(_TRIES):
        sweeps = [await judge.sweep(limit=10)]
        if sweeps[0].lost:
            break
        await t.advance(t.moment)
    while sweeps[-1].more and len(sweeps) < 10:
        sweeps.append(await judge.sweep(limit=10))
    for swept in sweeps:
        t.expect.true(len(swept.lost) <= 10, "no more than the limit")
        lost += [one.id for one in swept.lost]
    t.expect.true(sweeps[0].more, "25 are more than one sweep's 10")
    t.expect.same(lost, [d.envelope.id for d in taken], "all come back, each once")
    got = await t.take(await t.session(judge), 25)
    t.expect.equal({d.counts.lost for d in got}, {1}, "each was lost once")


@case("ses.concurrent-sweeps", slow=True, why="concurrent sweeps are harmless: a delivery is lost once")
async def _(t: Trial) -> None:
    broker = await t.broker()
    t.needs_sweeps()
    judges = [await t.broker() for _ in range(4)]
    session, taken = await t.running(broker, *t.envelopes(20))
    for judge in judges:
        await judge.sweep(limit=10)
    await t.lapse(session)
    lost = list[TaskId]()
    for _ in range(_TRIES):
        async with asyncio.TaskGroup() as group:
            sweeps = [group.create_task(judge.sweep(limit=100)) for judge in judges]
        lost = [one.id for sweep in sweeps for one in sweep.result().lost]
        if lost:
            break
        await t.advance(t.moment)
    t.expect.same(lost, [d.envelope.id for d in taken], "each was lost once")
    got = await t.take(await t.session(judges[0]), 20)
    t.expect.equal({d.counts for d in got}, {Counts(0, 1, 0)}, "and counted once")


@case(
    "ses.server-reaps",
    slow=True,
    why="where the server reaps (Profile.server_reaps) what a silent session held goes to others without a sweep, lost + 1",
)
async def _(t: Trial) -> None:
    broker, other = await t.broker(), await t.broker()
    if not t.profile.server_reaps:
        raise NotApplicable("its dead sessions are reaped by sweeps")
    dead, taken = await t.running(broker, *t.envelopes(3))
    heir = await t.session(other)
    await t.lapse(dead)
    swept = await other.sweep(limit=10)
    t.expect.equal((list(swept.sessions), list(swept.lost)), ([], []), "a sweep has nothing to do")
    got = await t.take(heir, 3)
    t.expect.same([d.envelope.id for d in got], [d.envelope.id for d in taken], "its tasks run elsewhere")
    t.expect.equal({d.counts for d in got}, {Counts(0, 1, 0)}, "each was lost once")
    await t.done(heir, *(t.complete(delivery) for delivery in got))
    await t.nothing(heir, because="what the heir completed is over")
