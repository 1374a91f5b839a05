"""Processes that are killed: what they held comes to others, what they were told was done stays done."""

from __future__ import annotations

import asyncio
import os
from collections import Counter

import attrs

from orcastra_conformance.engine.case import case
from orcastra_conformance.engine.expect import NotApplicable
from orcastra_conformance.engine.steps import turns
from orcastra_conformance.engine.tiers import Tier
from orcastra_conformance.engine.trial import Trial
from orcastra_conformance.faults.process import Agent, AgentGone, spawn, spawned
from orcastra_conformance.faults.recovery import fetched, recovered, recovery_time, sweeps
from orcastra_core.interfaces.session import Session
from orcastra_core.model.counts import Counts
from orcastra_core.model.delivery import Delivery
from orcastra_core.model.envelope import Envelope
from orcastra_core.model.ids import TaskId
from orcastra_core.model.profile import Cap, Durability
from orcastra_core.model.published import Stored
from orcastra_core.model.result import Result
from orcastra_core.model.settlement import Done

BUDGET = 20.0
"""Seconds: a process takes its time to start."""


@case(
    "proc.consumer-sigkill",
    budget=BUDGET,
    why="the deliveries of a killed process are handed out again within limits.recovery_time: all, each once, lost + 1",
)
async def _(t: Trial) -> None:
    broker = await t.broker()
    agent = await spawn(t)
    envelopes = t.envelopes(5)
    await t.stored(broker, *envelopes)
    theirs = await agent.session()
    first, *rest = await t.take(theirs, 5)
    await t.done(theirs, t.complete(first))
    await agent.kill()
    heir = await t.session(broker)
    again = await recovered(t, broker, heir, 4)
    t.expect.same([d.envelope.id for d in again], [d.envelope.id for d in rest], "all that was not settled")
    t.expect.equal({d.counts for d in again}, {Counts(0, 1, 0)}, "each was lost once")
    await t.done(heir, *(t.complete(delivery) for delivery in again))
    await t.nothing(heir, because="each came once")


@case(
    "proc.publisher-sigkill",
    budget=BUDGET,
    why="a confirmed publish survives the death of the publishing process",
    hint="confirm after it is stored, not after it is buffered",
)
async def _(t: Trial) -> None:
    if t.profile.durability is Durability.NONE:
        raise NotApplicable("the broker's durability is NONE: a confirmation promises nothing")
    broker = await t.broker()
    quiet, busy = await spawned(t, 2)
    batches = [t.envelopes(10) for _ in range(33)]
    confirmed: list[TaskId] = []
    enough, reached = t.rng.randrange(1, 15), asyncio.Event()

    async def publish(agent: Agent, batch: list[Envelope]) -> None:
        try:
            answers = await agent.broker.publish(batch)
        except AgentGone:
            return
        for envelope, answer in zip(batch, answers, strict=True):
            t.expect.is_a(answer, Stored, "an envelope within the limits is Stored")
            confirmed.append(envelope.id)
        if len(confirmed) >= 10 * (3 + enough):
            reached.set()

    for batch in batches[:3]:
        await publish(quiet, batch)
    await quiet.kill()
    async with asyncio.TaskGroup() as group:
        for batch in batches[3:]:
            group.create_task(publish(busy, batch))
        await reached.wait()
        await busy.kill()
    t.note(f"{len(confirmed)} of {10 * len(batches)} envelopes were confirmed")
    heir = await t.session(broker)
    got = [d.envelope.id for d in await fetched(t, heir, 10 * len(batches) + 1, t.queue())]
    t.expect.equal(sorted(set(confirmed) - set(got)), [], "all that was confirmed is there")
    t.expect.equal(sorted(set(got) - {e.id for batch in batches for e in batch}), [], "nothing else is")
    t.expect.equal([i for i, times in Counter(got).items() if times > 1], [], "each is there once")


@case(
    "proc.sigkill-during-settle",
    tier=Tier.TRANSACTIONAL,
    budget=BUDGET,
    why="a process that is killed as it settles leaves each task either settled, or to be handed out again:"
    " with Cap.ATOMIC_SETTLE never both, with or without it never neither",
    hint="the delivery's end, its result and what it emits belong into one step of the store",
)
async def _(t: Trial) -> None:
    broker = await t.broker()
    ours, theirs = t.queue(), t.queue("follow-ups")
    tasks: list[TaskId] = []
    confirmed: set[TaskId] = set()
    for agent in await spawned(t, 3):
        envelopes = t.envelopes(30)
        await t.stored(broker, *envelopes)
        tasks += [envelope.id for envelope in envelopes]
        session = await agent.session()
        confirmed |= await _killed_amid_settles(t, agent, session, await t.take(session, 30))

    heir = await t.session(broker, ours, theirs)
    settled = [one for one in map(_follows, await fetched(t, heir, len(tasks), theirs)) if one is not None]
    t.expect.equal(sorted(confirmed - set(settled)), [], "Done said that it was settled, with all that it emits")
    again: list[TaskId] = []
    async for _ in sweeps(t, broker, recovery_time(t)):
        for delivery in await fetched(t, heir, 1000, ours, theirs):
            if (task := _follows(delivery)) is not None:
                settled.append(task)
            else:
                again.append(delivery.envelope.id)
                counts = delivery.counts
                if t.profile.server_reaps and counts.lost <= 3:
                    counts = attrs.evolve(counts, lost=1)  # other ones of them may have had it, instead of their own
                t.expect.equal(counts, Counts(0, 1, 0), "what comes again was lost")
        if set(settled).union(again).issuperset(tasks):
            break
    t.note(f"{len(confirmed)} of {len(tasks)} confirmed, {len(settled)} settled, {len(again)} came again")
    t.expect.equal(
        sorted(set(tasks) - set(settled) - set(again)), [], "no task is lost: neither settled nor come again"
    )
    t.expect.equal(sorted(confirmed.intersection(again)), [], "Done said that it was settled, and it came again")
    t.expect.equal(len(again), len(set(again)), "what comes again comes once")
    if t.claims(Cap.ATOMIC_SETTLE):
        t.expect.equal(sorted(set(again).intersection(settled)), [], "settled and come again: it was not one step")
        t.expect.equal(len(settled), len(set(settled)), "what it emits is published once")
    if t.claims(Cap.RESULTS):
        results = await t.expect.found(broker.results, "RESULTS is claimed").get(tasks)
        have = {result.id for result in results if isinstance(result, Result)}
        t.expect.equal(sorted(set(tasks) - have - set(again)), [], "what is settled has its result")
        if t.claims(Cap.ATOMIC_SETTLE):
            t.expect.equal(sorted(have.intersection(again)), [], "what comes again has no result yet")


def _follows(delivery: Delivery) -> TaskId | None:
    return delivery.envelope.parent if isinstance(delivery.envelope, Envelope) else None


async def _killed_amid_settles(t: Trial, agent: Agent, session: Session, taken: list[Delivery]) -> set[TaskId]:
    """Have it settle one after another, kill it somewhere amid that; return what it had an answer for."""
    confirmed: set[TaskId] = set()
    enough, reached = t.rng.randrange(1, len(taken) // 2), asyncio.Event()

    async def settle(number: int, delivery: Delivery) -> None:
        follow_up = t.envelope("follow-ups", parent=delivery.envelope.id)
        try:
            (answer,) = await session.settle([t.complete(delivery, emit=[follow_up])], number=number)
        except AgentGone:
            return
        t.expect.is_a(answer, Done, "a delivery that its session holds can be settled")
        confirmed.add(delivery.envelope.id)
        if len(confirmed) >= enough:
            reached.set()

    async with asyncio.TaskGroup() as group:
        for number, delivery in enumerate(taken, 1):
            group.create_task(settle(number, delivery))
        await reached.wait()
        await turns(t.rng.randrange(100))  # so that it dies in all places
        await agent.kill()
    t.note(f"{session.id} had {len(confirmed)} of {len(taken)} answers when it was killed")
    return confirmed


@case(
    "proc.big-backlog",
    budget=BUDGET,
    why="however many deliveries a dead process held, all are handed out again, page by page",
    hint="a sweep that stops at its limit says `more`, and the next one goes on where it stopped",
)
async def _(t: Trial) -> None:
    number, page = 2500, min(1000, t.profile.limits.max_batch)
    broker = await t.broker()
    agent = await spawn(t)
    envelopes = t.envelopes(number)
    for at in range(0, number, page):
        t.expect.equal(
            {type(answer) for answer in await broker.publish(envelopes[at : at + page])}, {Stored}, "all are stored"
        )
    theirs = await agent.session()
    t.expect.equal(len(await fetched(t, theirs, number, t.queue())), number, "one process can hold them all")
    await agent.kill()
    heir = await t.session(broker)
    again = await recovered(t, broker, heir, number)
    t.expect.equal(
        Counter(d.envelope.id for d in again) - Counter(e.id for e in envelopes), Counter(), "each comes once"
    )
    t.expect.equal({d.counts for d in again}, {Counts(0, 1, 0)}, "each was lost once")
    t.expect.equal(await fetched(t, heir, 10, t.queue()), [], "nothing comes twice")


@case(
    "proc.fork",
    budget=BUDGET,
    why="a forked child neither disturbs its parent's session nor keeps it alive",
    hint="a child inherits locks, sockets and threads' memory, but it is not the session: nothing beats in it",
)
async def _(t: Trial) -> None:
    broker = await t.broker()
    agent = await spawn(t)
    await t.stored(broker, *t.envelopes(2))
    theirs = await agent.session()
    a, b = await t.take(theirs, 2)
    child = await agent.fork()
    await t.done(theirs, t.complete(a))
    await agent.kill()
    heir = await t.session(broker)
    (again,) = await recovered(t, broker, heir, 1)
    t.expect.equal((again.envelope.id, again.counts), (b.envelope.id, Counts(0, 1, 0)), "what its parent held is lost")
    t.expect.true(_lives(child), "the child lived all the while")
    await t.done(heir, t.complete(again))


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
