"""Processes that live, and seem not to: stopped, blocked, slow, with a wrong clock."""

from __future__ import annotations

import asyncio

from orcastra_conformance.engine.case import case
from orcastra_conformance.engine.expect import NotApplicable
from orcastra_conformance.engine.trial import Trial
from orcastra_conformance.faults.process import spawn
from orcastra_conformance.faults.recovery import recovered, sweeps, undisturbed
from orcastra_core.model.counts import Counts
from orcastra_core.model.delivery import Want
from orcastra_core.model.errors import SessionFenced
from orcastra_core.model.profile import Cap
from orcastra_core.model.result import Result
from orcastra_core.model.settlement import STALE

STEADY = [Cap.STABLE_SESSION, Cap.FENCED]
BUDGET = 20.0
"""Seconds: a process takes its time to start, and several leases have to pass."""
HOUR = 3600.0


@case(
    "proc.paused-is-fenced",
    needs=[Cap.FENCED],
    budget=BUDGET,
    why="a process that was stopped past its lease and reaped learns it when it goes on:"
    " its fetch raises SessionFenced, its settle is STALE and has no effect whatever",
    hint="judge by the session's record in the store, in the settle's own step: the process itself cannot know",
)
async def _(t: Trial) -> None:
    broker = await t.broker()
    agent = await spawn(t)
    await t.stored(broker, *t.envelopes(2))
    late = await agent.session()
    a, b = await t.take(late, 2)
    await agent.stop()
    heir = await t.session(broker, t.queue(), t.queue("next"))
    again = {d.envelope.id: d for d in await recovered(t, broker, heir, 2)}
    t.expect.equal({d.counts for d in again.values()}, {Counts(0, 1, 0)}, "both were lost once")
    await t.done(heir, t.complete(again[a.envelope.id], b"\x02"))
    await agent.go_on()
    answers = await t.settle(late, t.complete(a, b"\x03", emit=[t.envelope("next")]), t.retry(b))
    t.expect.equal(list(answers), [STALE, STALE], "what it says after its reap is refused")
    want = Want(5, [(t.queue(), 5)])
    await t.expect.raises(SessionFenced, late.fetch(want, wait=0), "it is told that it was reaped")
    t.expect.equal(list(await late.held()), [], "it holds nothing")
    await t.nothing(heir, t.queue(), t.queue("next"), because="nothing was emitted, nothing was retried")
    if t.claims(Cap.RESULTS):
        (result,) = await t.expect.found(broker.results, "RESULTS is claimed").get([a.envelope.id])
        t.expect.equal(t.expect.is_a(result, Result, "it was settled").value, b"\x02", "the heir's result stands")
    await t.done(heir, t.complete(again[b.envelope.id]))


@case(
    "proc.lapse-revived",
    needs=STEADY,
    budget=BUDGET,
    why="a process that was stopped past its lease, and goes on before anybody reaped it, keeps its session",
)
async def _(t: Trial) -> None:
    broker = await t.broker()
    agent = await spawn(t)
    await t.stored(broker, t.envelope())
    session = await agent.session()
    delivery = await t.one(session)
    await broker.sweep(limit=10)
    await agent.stop()
    await t.advance(t.lease * 1.5 + t.moment)
    await agent.go_on()
    await t.advance(t.lease)  # so that it has beaten again
    swept = await broker.sweep(limit=10)
    t.expect.equal((list(swept.sessions), list(swept.lost)), ([], []), "it beats again: nobody reaps it")
    t.expect.equal(list(await session.held()), [delivery.receipt], "it holds what it held")
    await t.done(session, t.complete(delivery))


@case(
    "proc.paused-not-reaped-early",
    needs=STEADY,
    budget=BUDGET,
    why="a process that is stopped for less than the lease that it was granted is not reaped",
    hint="each session has a lease of its own",
)
async def _(t: Trial) -> None:
    broker = await t.broker()
    agent = await spawn(t)
    await t.stored(broker, t.envelope())
    lease = 3 * t.lease
    session = await agent.session(lease=lease)
    delivery = await t.one(session)
    await undisturbed(t, broker, await t.session(broker), lease)  # the judge has been in contact for a lease
    await agent.stop()
    stopped = t.now()
    async for swept in sweeps(t, broker, 1.2 * t.lease):
        if t.now() - stopped > 0.6 * lease:
            break  # on so busy a machine it may well have been silent for a lease
        t.expect.equal(list(swept.sessions), [], "nobody is reaped before his lease is over")
    await agent.go_on()
    await t.done(session, t.complete(delivery))


@case(
    "proc.blocked-loop",
    needs=STEADY,
    budget=BUDGET,
    why="a session beats without its caller's event loop: code that blocks the loop for leases does not end it",
    hint="beat from a thread, or from the thread that does the I/O; never from a task of the caller's loop",
)
async def _(t: Trial) -> None:
    broker = await t.broker()
    agent = await spawn(t)
    await t.stored(broker, t.envelope())
    session = await agent.session()
    delivery = await t.one(session)
    rival = await t.session(broker)
    async with asyncio.TaskGroup() as group:
        group.create_task(agent.block(3 * t.lease))
        await undisturbed(t, broker, rival, 3 * t.lease)
    await t.done(session, t.complete(delivery))


@case(
    "proc.long-task",
    needs=STEADY,
    budget=BUDGET,
    why="a healthy task of another process may run for many leases and is never handed out again",
    hint="nothing renews single deliveries: they stand and fall with the session",
)
async def _(t: Trial) -> None:
    if 5 * t.lease > t.profile.limits.max_hold:
        raise NotApplicable("limits.max_hold is less than five leases")
    broker = await t.broker()
    agent = await spawn(t)
    await t.stored(broker, t.envelope())
    session = await agent.session()
    delivery = await t.one(session)
    await undisturbed(t, broker, await t.session(broker), 5 * t.lease)
    t.expect.equal(list(await session.held()), [delivery.receipt], "it still holds it")
    await t.done(session, t.complete(delivery))


@case(
    "proc.clock-off",
    budget=BUDGET,
    why="moments are the store's: a client whose clock is an hour off reaps nobody, is reaped by nobody,"
    " and gets nothing sooner or later for it",
    hint="take the time from the server, within the operation that needs it",
)
async def _(t: Trial) -> None:
    if t.harness.facts.embedded:
        raise NotApplicable("an embedded store's clock is the client's")
    broker = await t.broker()
    async with asyncio.TaskGroup() as group:
        starting = [group.create_task(spawn(t, clock_offset=offset)) for offset in (HOUR, -HOUR)]
    fast, slow = (task.result() for task in starting)
    ahead, behind, ours = await fast.session(), await slow.session(), await t.session(broker)
    await t.stored(broker, *t.envelopes(2))
    a, b = await t.one(ahead), await t.one(behind)
    await undisturbed(t, broker, ours, 1.5 * t.lease, fast.broker, slow.broker)
    await t.nothing(ahead, because="what a live session holds is not handed out again")
    await t.done(ahead, t.complete(a))
    await t.done(behind, t.complete(b))
    if not t.claims(Cap.DELAY):
        return
    for agent, offset in ((fast, HOUR), (slow, -HOUR)):
        told = agent.profile.clock_offset + offset - t.profile.clock_offset
        t.expect.true(abs(told) < 60, "clock_offset says how far the store's clock is ahead of the client's")
    later, past = t.envelope(due=t.now() + 600), t.envelope(due=t.now() - 1)
    await t.stored(broker, later, past)
    delivery = await t.one(behind)
    t.expect.equal(delivery.envelope.id, past.id, "what is due by the store's clock is due to all")
    await t.nothing(ahead, because="what is not due by the store's clock is due to nobody")
    await t.done(behind, t.retry(delivery, after=600))
    await t.nothing(ours, because="`after` counts from the store's now, not from the settling client's")
    await t.stored(fast.broker, t.envelope())
    await t.one(behind)
