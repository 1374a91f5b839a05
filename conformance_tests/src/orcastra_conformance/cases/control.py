"""Cancelling, pausing, purging, inspecting, finding."""

from __future__ import annotations

import asyncio

from orcastra_conformance.engine.case import case
from orcastra_conformance.engine.steps import turns
from orcastra_conformance.engine.trial import FAR, Trial
from orcastra_core.model.envelope import Dedup, Envelope
from orcastra_core.model.errors import UsageError
from orcastra_core.model.event import EventKind
from orcastra_core.model.profile import Cap
from orcastra_core.model.queue import QueueDepth
from orcastra_core.model.result import Outcome, Result
from orcastra_core.model.session import CancelTask, DueSoon
from orcastra_core.model.task_state import Cancelled, State

CANCEL = [Cap.CANCEL]


@case("can.four-answers", needs=CANCEL, why="REMOVED, SIGNALLED, TOO_LATE, UNKNOWN, aligned")
async def _(t: Trial) -> None:
    broker = await t.broker()
    session, (runs, done, dead) = await t.running(broker, *t.envelopes(3))
    await t.done(session, t.complete(done), t.dead(dead))
    waits = t.envelope()
    await t.stored(broker, waits)
    ids = [t.id(), waits.id, done.envelope.id, runs.envelope.id, dead.envelope.id]
    other = await t.broker()
    answers = await other.cancel([t.cancellation(task_id) for task_id in ids])
    wanted = [Cancelled.UNKNOWN, Cancelled.REMOVED, Cancelled.TOO_LATE, Cancelled.SIGNALLED, Cancelled.TOO_LATE]
    t.expect.equal(list(answers), wanted, "each answer is that of its task")
    await t.nothing(session, because="the one that waited will never run")
    await t.done(session, t.complete(runs))


@case(
    "can.removed",
    needs=CANCEL,
    why="REMOVED is one step: never handed out, its cancelled result stored and pushed, its events appended",
)
async def _(t: Trial) -> None:
    broker = await t.broker()
    feed = await broker.results.subscribe() if broker.results is not None else None
    envelope = t.envelope(reply=feed.channel if feed is not None else None)
    await t.stored(broker, envelope)
    wish = t.cancellation(envelope.id, events=t.event(EventKind.CANCELLED, envelope.id))
    t.expect.equal(list(await broker.cancel([wish])), [Cancelled.REMOVED], "it was waiting")
    (again,) = await broker.cancel([wish])
    t.expect.true(again in (Cancelled.REMOVED, Cancelled.TOO_LATE), "a repeat is harmless")
    await t.nothing(await t.session(broker), because="it will never run")
    if broker.results is not None and feed is not None:
        (found,) = await broker.results.get([envelope.id])
        t.expect.equal(t.expect.is_a(found, Result, "it has a result").outcome, Outcome.CANCELLED, "cancelled")
        t.expect.equal(
            [r.id for r in await t.soon(feed.next(wait=FAR), "the cancelled result is pushed")],
            [envelope.id],
            "pushed, once",
        )
        await feed.close()
    if broker.events is not None:
        told = [e.event.task_id for e in await broker.events.read() if e.event.kind is EventKind.CANCELLED]
        t.expect.equal(told, [envelope.id], "the event is in the log, once")


@case("can.delayed", needs=[Cap.CANCEL, Cap.DELAY], why="a delayed task is REMOVED like a waiting one")
async def _(t: Trial) -> None:
    broker = await t.broker()
    session, (delivery,) = await t.running(broker, t.envelope())
    await t.done(session, t.retry(delivery, 2 * t.moment))
    fresh = t.envelope(due=t.now() + 2 * t.moment)
    await t.stored(broker, fresh)
    answers = await broker.cancel([t.cancellation(fresh.id), t.cancellation(delivery.envelope.id)])
    t.expect.equal(list(answers), [Cancelled.REMOVED, Cancelled.REMOVED], "both were waiting")
    await t.advance(3 * t.moment)
    await t.promote(broker)
    await t.nothing(session, because="neither will ever run")


@case(
    "can.signalled",
    needs=CANCEL,
    why="a running task's session gets CancelTask; the outcome is the session's to settle",
)
async def _(t: Trial) -> None:
    broker, other = await t.broker(), await t.broker()
    session, (a, b) = await t.running(broker, *t.envelopes(2))
    async with asyncio.TaskGroup() as group:
        listening = group.create_task(session.signals(wait=FAR))
        await turns(20)
        await other.cancel([t.cancellation(b.envelope.id)])
        told = [signal for signal in await t.soon(listening, "the session is told") if signal != DueSoon()]
        t.expect.equal(told, [CancelTask(b.envelope.id)], "the session is told which")
    t.expect.equal(len(await session.held()), 2, "it still holds both")
    await t.done(session, t.complete(a), t.complete(b))
    if broker.results is not None:
        (found,) = await broker.results.get([b.envelope.id])
        t.expect.equal(t.expect.is_a(found, Result, "it has a result").outcome, Outcome.COMPLETED, "as it was settled")


@case(
    "pause.stops-handing-out",
    needs=[Cap.PAUSE],
    why="nothing more is handed out until resume, in every process; running tasks and publishing go on",
)
async def _(t: Trial) -> None:
    broker, other = await t.broker(), await t.broker()
    session, (delivery,) = await t.running(broker, t.envelope())
    for _ in range(2):
        await other.pause([t.queue()])
    sent, elsewhere = t.envelopes(2), t.envelope("open")
    await t.stored(broker, *sent, elsewhere)
    await t.nothing(session, because="the queue is paused")
    await t.one(session, t.queue("open"))
    await t.done(session, t.complete(delivery))
    await t.nothing(await t.session(other), because="for every session")
    for _ in range(2):
        await broker.resume([t.queue()])
    t.expect.same([d.envelope.id for d in await t.take(session, 2)], [e.id for e in sent], "all of it is there")


@case("pause.resume-wakes", needs=[Cap.PAUSE], why="resume wakes waiting fetches")
async def _(t: Trial) -> None:
    broker, other = await t.broker(), await t.broker()
    await broker.pause([t.queue()])
    await t.stored(broker, t.envelope())
    session = await t.session(broker)
    async with asyncio.TaskGroup() as group:
        waiting = group.create_task(t.awaited(session))
        await turns(20)
        await other.resume([t.queue()])
        await t.soon(waiting, "resume wakes")


@case("purge.waiting", needs=[Cap.PURGE], why="purge forgets what waits, of one queue, and says how many")
async def _(t: Trial) -> None:
    broker = await t.broker()
    session, (delivery,) = await t.running(broker, t.envelope())
    await t.stored(broker, *t.envelopes(3), t.envelope("other"))
    if t.claims(Cap.DELAY):
        await t.stored(broker, t.envelope(due=t.now() + FAR))
    t.expect.equal(await broker.purge(t.queue()), 4 if t.claims(Cap.DELAY) else 3, "those that waited")
    t.expect.equal(await broker.purge(t.queue()), 0, "they are gone")
    await t.nothing(session, because="they are gone")
    await t.done(session, t.complete(delivery))
    await t.one(session, t.queue("other"))


@case("purge.keys", needs=[Cap.PURGE, Cap.DEDUP, Cap.ORDERED_KEY], why="purge forgets tasks, keys and all")
async def _(t: Trial) -> None:
    broker = await t.broker()
    held, behind = t.envelope(order_by="o"), t.envelope(order_by="o", dedup=Dedup("k"))
    session, (delivery,) = await t.running(broker, held)
    await t.stored(broker, behind, t.envelope(order_by="o"))
    t.expect.equal(await broker.purge(t.queue()), 2, "those that wait for their ordering key")
    last = t.envelope(order_by="o", dedup=Dedup("k"))
    await t.stored(broker, last)
    await t.nothing(session, because="the running one still has the ordering key")
    await t.done(session, t.complete(delivery))
    delivery = await t.one(session)
    t.expect.equal(delivery.envelope.id, last.id, "the purged ones are passed over")
    await t.done(session, t.complete(delivery))
    await t.stored(broker, *(t.envelope(order_by="o") for _ in range(3)))
    t.expect.equal(await broker.purge(t.queue()), 3, "a whole line of one key")
    await t.stored(broker, t.envelope(order_by="o"))
    await t.one(session)


@case(
    "purge.states",
    needs=[Cap.PURGE, Cap.DELAY, Cap.DEAD_LETTERS],
    why="purge forgets only tasks in the states that were named, dead letters wholly; running is none of them",
)
async def _(t: Trial) -> None:
    broker = await t.broker()
    session, (dead, runs) = await t.running(broker, *t.envelopes(2))
    await t.done(session, t.dead(dead))
    await t.stored(broker, t.envelope(), t.envelope(due=t.now() + FAR))
    bad = broker.purge(t.queue(), states=frozenset({State.RUNNING, State.READY}))
    await t.expect.raises(UsageError, bad, "what runs cannot be purged")
    for state in (State.DEAD, State.DELAYED, State.READY):
        t.expect.equal(await broker.purge(t.queue(), states=frozenset({state})), 1, f"one is {state.value}")
    if t.profile.limits.publish_window:
        await t.stored(broker, t.expect.is_a(dead.envelope, Envelope, "readable"))  # the store knows it no more
        t.expect.equal((await t.one(session)).envelope.id, dead.envelope.id, "a purged id is stored anew")
    await t.done(session, t.complete(runs))


@case("ins.counts", needs=[Cap.INSPECT], why="ready, delayed, running and dead add up after every step")
async def _(t: Trial) -> None:
    broker = await t.broker()
    delays, buries = t.claims(Cap.DELAY), t.claims(Cap.DEAD_LETTERS)

    async def counts() -> tuple[int, int, int, int]:
        (depth,) = await broker.inspect([t.queue()])
        t.expect.true((depth.oldest is None) == (depth.ready == 0), "oldest is that of a ready envelope")
        return depth.ready, depth.delayed, depth.running, depth.dead

    t.expect.equal(await counts(), (0, 0, 0, 0), "an unknown queue is empty")
    await t.stored(broker, *t.envelopes(5))
    t.expect.equal(await counts(), (5, 0, 0, 0), "published")
    session = await t.session(broker)
    a, b, c, d = await t.take(session, 4)
    t.expect.equal(await counts(), (1, 0, 4, 0), "four run")
    await t.done(session, t.complete(a), t.release(b))
    t.expect.equal(await counts(), (2, 0, 2, 0), "one done, one handed back")
    await t.done(session, t.dead(c))
    t.expect.equal(await counts(), (2, 0, 1, 1 if buries else 0), "one dead")
    if delays:
        await t.done(session, t.retry(d, FAR))
        t.expect.equal(await counts(), (2, 1, 0, 1 if buries else 0), "one delayed")


@case("ins.all", needs=[Cap.INSPECT], why="all queues the store knows, by name; their age and pause")
async def _(t: Trial) -> None:
    broker = await t.broker()
    await t.stored(broker, t.envelope("b"), *t.envelopes(2, "a"))
    if t.claims(Cap.PAUSE):
        await broker.pause([t.queue("b")])
    await t.advance(2 * t.moment)
    depths = list(await broker.inspect())
    t.expect.equal([(d.queue, d.ready) for d in depths], [("a", 2), ("b", 1)], "two queues, in order")
    ages = [t.expect.found(d.oldest, "they have waited") for d in depths]
    t.expect.true(all(2 * t.moment - 0.001 <= age < FAR for age in ages), f"for as long as passed, in seconds: {ages}")
    t.expect.equal([d.paused for d in depths], [False, t.claims(Cap.PAUSE)], "b is paused")
    (unknown,) = await broker.inspect([t.queue("nowhere")])
    t.expect.equal(unknown, QueueDepth(queue=t.queue("nowhere")), "asking makes no queue")


@case("find.states", needs=[Cap.LOOKUP], why="where tasks are; None for those the store does not know")
async def _(t: Trial) -> None:
    broker = await t.broker()
    session, (runs, done, dead) = await t.running(broker, *t.envelopes(3))
    await t.done(session, t.complete(done), t.dead(dead))
    ready = t.envelope("elsewhere")
    await t.stored(broker, ready)
    asked = [t.id(), ready.id, runs.envelope.id, done.envelope.id]
    nobody, waiting, running, finished = await broker.find(asked)
    t.expect.equal(nobody, None, "never stored")
    found = t.expect.found(waiting, "it waits")
    t.expect.equal((found.id, found.state), (ready.id, State.READY), "ready")
    t.expect.equal(getattr(found.envelope, "body", None), ready.body, "with its envelope")
    found = t.expect.found(running, "it runs")
    t.expect.equal(
        (found.state, found.session, found.counts), (State.RUNNING, session.id, runs.counts), "and who has it"
    )
    t.expect.equal(t.expect.found(finished, "it has ended").state, State.FINISHED, "finished")
    if t.claims(Cap.DEAD_LETTERS):
        (letter,) = await broker.find([dead.envelope.id])
        t.expect.equal(t.expect.found(letter, "a dead letter").state, State.DEAD, "dead")
    if t.claims(Cap.DELAY):
        due = t.now() + FAR
        delayed = t.envelope(due=due)
        await t.stored(broker, delayed)
        state = t.expect.found((await broker.find([delayed.id]))[0], "it waits")
        t.expect.equal(state.state, State.DELAYED, "delayed")
        t.expect.true(abs(t.expect.found(state.due, "it says until when") - due) < 0.01, "until then")
