"""Settling."""

from __future__ import annotations

import asyncio

import attrs

from orcastra_conformance.engine.case import case
from orcastra_conformance.engine.steps import turns
from orcastra_conformance.engine.tiers import Tier
from orcastra_conformance.engine.trial import Trial
from orcastra_core.model.counts import Counts
from orcastra_core.model.delivery import Delivery
from orcastra_core.model.event import EventKind
from orcastra_core.model.profile import Cap
from orcastra_core.model.published import Duplicate, Refused, Stored, Unknown
from orcastra_core.model.result import Absence, Result
from orcastra_core.model.settlement import STALE, Done, Failed


@case("set.complete-removes", why="a completed task never comes again: not for this session, not for another client")
async def _(t: Trial) -> None:
    broker = await t.broker()
    session, (delivery,) = await t.running(broker, t.envelope())
    await t.done(session, t.complete(delivery))
    await t.nothing(session, because="it is finished")
    await session.leave()
    other = await t.broker()
    await t.nothing(await t.session(other), because="it is finished for everybody")
    await other.sweep(limit=10)
    await t.nothing(await t.session(other), because="no sweep brings it back")


@case("set.not-before", why="a delivery that nobody settled is still owed")
async def _(t: Trial) -> None:
    broker = await t.broker()
    session, (delivery,) = await t.running(broker, t.envelope())
    await session.leave()
    again = await t.one(await t.session(broker))
    t.expect.equal(again.envelope.id, delivery.envelope.id, "it comes again")


@case("set.retry", why="Retry: the attempt failed; it is handed out again, attempt + 1, the same envelope")
async def _(t: Trial) -> None:
    broker = await t.broker()
    sent = t.envelope()
    session, (delivery,) = await t.running(broker, sent)
    for attempt in range(3):
        t.expect.equal(delivery.counts, Counts(attempt, 0, 0), "attempts are counted")
        t.expect.equal(delivery.envelope, sent, "the envelope is immutable")
        await t.done(session, t.retry(delivery))
        delivery = await t.one(session)
    await t.done(session, t.complete(delivery))


@case("set.retry-starves-nobody", why="a task that fails again and again does not starve the rest")
async def _(t: Trial) -> None:
    broker = await t.broker()
    poisoned, *rest = t.envelopes(6)
    await t.stored(broker, poisoned, *rest)
    session = await t.session(broker)
    seen: set[str] = set()
    for _ in range(12):
        delivery = await t.one(session)
        seen.add(delivery.envelope.id)
        bad = delivery.envelope.id == poisoned.id
        await t.done(session, t.retry(delivery) if bad else t.complete(delivery))
    t.expect.same(seen, [e.id for e in [poisoned, *rest]], "all six were handed out within twelve turns")


@case("set.release", why="Release hands back: released + 1, no attempt counted")
async def _(t: Trial) -> None:
    broker = await t.broker()
    session, (delivery,) = await t.running(broker, t.envelope())
    await t.done(session, t.retry(delivery))
    await t.done(session, t.release(await t.one(session)))
    t.expect.equal((await t.one(session)).counts, Counts(1, 0, 1), "one attempt failed, one hand-over was handed back")


@case("set.dead", why="a dead task is never handed out again")
async def _(t: Trial) -> None:
    broker = await t.broker()
    session, (delivery,) = await t.running(broker, t.envelope())
    dead = t.dead(delivery)
    await t.done(session, dead)
    await t.nothing(session, because="it failed for good")
    if broker.results is not None:
        (found,) = await broker.results.get([delivery.envelope.id])
        t.expect.equal(found, dead.result, "its failed result is stored")


@case("set.moved", why="Moved: it is durable elsewhere; it is removed here and no result is stored")
async def _(t: Trial) -> None:
    broker = await t.broker()
    feed = await broker.results.subscribe() if broker.results is not None else None
    session, (delivery,) = await t.running(broker, t.envelope(reply=feed.channel if feed is not None else None))
    await t.done(session, t.moved(delivery))
    await t.nothing(session, because="it was removed")
    t.expect.equal(list(await session.held()), [], "it is held no more")
    if broker.results is not None and feed is not None:
        (found,) = await broker.results.get([delivery.envelope.id])
        t.expect.true(isinstance(found, Absence), "it has not ended: there is no result")
        t.expect.equal(list(await feed.next(wait=0)), [], "and none was pushed")
        await feed.close()


@case(
    "set.moved-comes-back",
    why="the same id with other counts is the next hand-over of a task that went through a Scheduler",
)
async def _(t: Trial) -> None:
    broker = await t.broker()
    t.needs_repeats()
    first = t.envelope()
    second, third = (attrs.evolve(first, counts=Counts(attempt, 0, 0)) for attempt in (1, 2))
    session, (delivery,) = await t.running(broker, first)
    (early,) = await t.publish(broker, second)
    if not isinstance(early, Stored):
        error = t.expect.is_a(early, Unknown, "its Moved is on the way: Stored, or Unknown and retryable").error
        t.expect.true(error.retryable, "to be repeated until the Moved has arrived")
    await t.done(session, t.moved(delivery))
    t.expect.equal(list(await t.publish(broker, first)), [Duplicate(first.id)], "a late repeat of the first hand-over")
    if not isinstance(early, Stored):
        await t.stored(broker, second)
    t.expect.equal(list(await t.publish(broker, second)), [Duplicate(first.id)], "a repeat of the second")
    again = await t.one(session)
    t.expect.equal((again.envelope.id, again.counts), (first.id, Counts(1, 0, 0)), "with the counts that it brings")
    await t.nothing(session, because="once")
    await t.done(session, t.moved(again))
    await t.stored(broker, third)
    await t.done(session, t.complete(await t.one(session)))
    for late in (first, second, third):
        t.expect.equal(list(await t.publish(broker, late)), [Duplicate(first.id)], "it has ended: every repeat is late")


@case("set.double", why="the second settlement of one delivery is STALE and has no effect, in a batch and after it")
async def _(t: Trial) -> None:
    broker = await t.broker()
    session, (a, b) = await t.running(broker, *t.envelopes(2))
    first, second = await t.settle(session, t.complete(a, b"\x01"), t.complete(a, b"\x02"))
    t.expect.is_a(first, Done, "the first takes effect")
    t.expect.equal(second, STALE, "the second in the batch is STALE")
    t.expect.equal(list(await t.settle(session, t.retry(a))), [STALE], "so is one in a later batch")
    if broker.results is not None:
        (found,) = await broker.results.get([a.envelope.id])
        t.expect.equal(t.expect.is_a(found, Result, "it has a result").value, b"\x01", "the first result stands")
    await t.nothing(session, because="the retry had no effect")
    await t.done(session, t.retry(b))
    again = await t.one(session)
    t.expect.equal(list(await t.settle(session, t.complete(b))), [STALE], "so is one of a hand-over that is over")
    await t.done(session, t.complete(again))


@case("set.forged", why="an item whose delivery this session does not hold is STALE and has no effect whatever")
async def _(t: Trial) -> None:
    broker = await t.broker()
    session, (held,) = await t.running(broker, t.envelope())
    other = await t.session(await t.broker())
    stranger = t.envelope()
    forged = [
        t.complete(Delivery(stranger, receipt))
        for receipt in ("", "nonsense", "0", b"\x00", -1, 2**62)
    ]  # fmt: skip
    for answer in await t.settle(session, *forged):
        t.expect.equal(answer, STALE, "a made-up receipt has no power")
    await t.stored(broker, t.envelope())
    theirs = await t.one(other)
    answers = await t.settle(other, t.complete(theirs), t.complete(theirs))
    t.expect.equal(answers[1], STALE, "a spent receipt has no power")
    await t.done(session, t.complete(held))
    if broker.results is not None:
        (found,) = await broker.results.get([stranger.id])
        t.expect.true(isinstance(found, Absence), "no result was stored for the forged ones")


@case("set.mixed-batch", why="one bad item fails alone: every item has its own answer, aligned")
async def _(t: Trial) -> None:
    broker = await t.broker()
    session, taken = await t.running(broker, *t.envelopes(5))
    await t.done(session, t.complete(taken[0]))
    too_large = bytes(t.profile.limits.max_body + 1)
    answers = await t.settle(
        session,
        t.complete(taken[1]),
        t.complete(taken[0]),
        t.complete(taken[2], too_large),
        t.complete(Delivery(t.envelope(), "nonsense")),
        t.retry(taken[3]),
        t.release(taken[4]),
    )
    names = ["STALE" if a is STALE else type(a).__name__ for a in answers]
    t.expect.equal(names, ["Done", "STALE", "Failed", "STALE", "Done", "Done"], "each answer is that of its item")
    failed = t.expect.is_a(answers[2], Failed, "a result beyond max_body cannot be stored")
    t.expect.true(failed.error is not None, "Failed says why")
    t.expect.equal(len(await session.held()), 1, "what failed is still held")
    await t.done(session, t.complete(taken[2]))
    again = await t.take(session, 2)
    t.expect.same(
        [d.envelope.id for d in again], [d.envelope.id for d in taken[3:]], "the retry and the release come again"
    )


@case(
    "set.emit", why="emitted envelopes are published in the same step, by the rules of publish; Done.emitted is aligned"
)
async def _(t: Trial) -> None:
    broker = await t.broker()
    session, (a, b) = await t.running(broker, *t.envelopes(2))
    old, new, after_dead = t.envelope(), t.envelope("next"), t.envelope("next")
    await t.stored(broker, old)
    big = t.envelope(body=bytes(t.profile.limits.max_body + 1))
    emit = [new, big, old] if t.profile.limits.publish_window else [new, big]
    done, dead = await t.done(session, t.complete(a, emit=emit), t.dead(b, emit=[after_dead]))
    t.expect.equal(len(done.emitted), len(emit), "one answer an envelope")
    t.expect.is_a(done.emitted[0], Stored, "a new envelope is Stored")
    t.expect.is_a(done.emitted[1], Refused, "one too large is Refused, and the settlement stands")
    t.expect.equal(list(done.emitted[2:]), [Duplicate(e.id) for e in emit[2:]], "one stored before is Duplicate")
    t.expect.equal([type(answer) for answer in dead.emitted], [Stored], "a dead task may emit too")
    got = await t.take(session, 2, t.queue("next"))
    t.in_order([d.envelope.id for d in got], [new.id, after_dead.id], "they can be fetched, once each")
    await t.nothing(session, t.queue("next"), because="nothing else was emitted")


@case("set.emit-wakes", why="an emitted envelope wakes a session that waits, as a published one does")
async def _(t: Trial) -> None:
    broker = await t.broker()
    session, (delivery,) = await t.running(broker, t.envelope())
    other = await t.session(await t.broker(), t.queue("next"))
    follow_up = t.envelope("next")
    async with asyncio.TaskGroup() as group:
        waiting = group.create_task(t.awaited(other, t.queue("next")))
        await turns(20)
        await t.done(session, t.complete(delivery, emit=[follow_up]))
        got = await t.soon(waiting, "an emitted envelope wakes")
    t.expect.equal(got.envelope.id, follow_up.id, "the waiting fetch returns with it")


@case(
    "set.atomic",
    tier=Tier.TRANSACTIONAL,
    needs=[Cap.ATOMIC_SETTLE, Cap.EVENTS, Cap.RESULTS, Cap.FENCED],
    why="what a STALE or failed item carries does not appear: no result, no event, no follow-up",
)
async def _(t: Trial) -> None:
    broker = await t.broker()
    session, (delivery,) = await t.running(broker, t.envelope())
    await broker.expire(session.id)
    heir = await t.session(broker)
    again = await t.one(heir)
    event = t.event(EventKind.COMPLETED, delivery.envelope.id)
    late = t.complete(delivery, b"\x0f", emit=[t.envelope("next")], events=event)
    t.expect.equal(list(await t.settle(session, late)), [STALE], "its hand-over was taken away")
    bad = t.complete(again, bytes(t.profile.limits.max_body + 1), emit=[t.envelope("next")], events=event)
    t.expect.is_a((await t.settle(heir, bad))[0], Failed, "its result is too large")
    await t.nothing(heir, t.queue("next"), because="neither follow-up was published")
    if broker.results is not None and broker.events is not None:
        (found,) = await broker.results.get([delivery.envelope.id])
        t.expect.true(isinstance(found, Absence), "neither result was stored")
        kinds = [entry.event.kind for entry in await broker.events.read()]
        t.expect.true(EventKind.COMPLETED not in kinds, "neither event was appended")
