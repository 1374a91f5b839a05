"""Dead letters."""

from __future__ import annotations

import asyncio

import attrs

from orcastra_conformance.engine.case import case
from orcastra_conformance.engine.making import ERROR
from orcastra_conformance.engine.steps import turns
from orcastra_conformance.engine.trial import FAR, Trial
from orcastra_core.interfaces.broker import Broker
from orcastra_core.interfaces.dead_letters import DeadLetterStore
from orcastra_core.model.counts import Counts
from orcastra_core.model.envelope import Dedup, Envelope
from orcastra_core.model.event import EventKind
from orcastra_core.model.profile import Cap
from orcastra_core.model.published import STORED, Duplicate, Refused, Stored
from orcastra_core.model.result import Absence, Result

DEAD = [Cap.DEAD_LETTERS]


def _store(t: Trial, broker: Broker) -> DeadLetterStore:
    return t.expect.found(broker.dead_letters, "DEAD_LETTERS is claimed: the sub-service is there")


@case("dead.keeps-everything", needs=DEAD, why="a dead letter is kept whole: envelope, counts, reason, error, time")
async def _(t: Trial) -> None:
    broker = await t.broker()
    sent = t.envelope(body=bytes(range(256)), headers={"x-test-a": [1]}, reply="r")
    session, (delivery,) = await t.running(broker, sent)
    await t.done(session, t.retry(delivery))
    before = t.now()
    await t.done(session, t.dead(await t.one(session), "no more"))
    (letter,) = await _store(t, await t.broker()).get([sent.id])
    kept = t.expect.found(letter, "it is a dead letter")
    envelope = t.expect.is_a(kept.envelope, Envelope, "readable")
    t.expect.equal((envelope.id, envelope.body, envelope.task), (sent.id, sent.body, sent.task), "the envelope")
    t.expect.equal(dict(envelope.headers), {"x-test-a": [1]}, "with its headers")
    t.expect.equal(
        (kept.id, kept.queue, kept.counts), (sent.id, sent.queue, Counts(1, 0, 0)), "where it was, and its counts"
    )
    t.expect.equal((kept.reason, kept.error), ("no more", ERROR), "why")
    t.expect.true(before - 1 <= kept.at <= t.now() + 1, "when, by the store's clock")


@case("dead.page", needs=DEAD, why="pages come in order of ids, behind `after`, of one queue if asked")
async def _(t: Trial) -> None:
    broker = await t.broker()
    store = _store(t, broker)
    sent = t.envelopes(7) + t.envelopes(3, "other")
    await t.stored(broker, *sent)
    session = await t.session(broker)
    taken = await t.take(session, 10, t.queue(), t.queue("other"))
    t.rng.shuffle(taken)
    await t.done(session, *(t.dead(d) for d in taken))
    seen: list[str] = []
    after = None
    while page := await store.page(after=after, limit=4):
        t.expect.true(len(page) <= 4, "no more than the limit")
        seen += [letter.id for letter in page]
        t.expect.true(len(seen) <= len(sent), "paging on behind the last id comes to an end")
        after = page[-1].id
    t.expect.equal(seen, sorted(e.id for e in sent), "each once, in order")
    other = await store.page(queue=t.queue("other"))
    t.expect.equal([letter.id for letter in other], [e.id for e in sent[7:]], "those of one queue")
    t.expect.equal(list(await store.get([t.id()])), [None], "no dead letter")


@case(
    "dead.replay",
    needs=DEAD,
    why="replay puts it back with its id, counts at zero, its failed result forgotten; it is a dead letter no more",
)
async def _(t: Trial) -> None:
    broker = await t.broker()
    store = _store(t, broker)
    session, (delivery,) = await t.running(broker, t.envelope())
    await t.done(session, t.retry(delivery))
    await t.done(session, t.dead(await t.one(session)))
    task_id = delivery.envelope.id
    event = [t.event(EventKind.REPLAYED, task_id), t.event(EventKind.REPLAYED)]
    answers = await store.replay([task_id, t.id()], events=event)
    t.expect.is_a(answers[0], Stored, "it waits again")
    t.expect.equal(answers[1], None, "that is no dead letter")
    t.expect.equal(list(await store.get([task_id])), [None], "it is a dead letter no more")
    if broker.results is not None:
        (found,) = await broker.results.get([task_id])
        t.expect.true(isinstance(found, Absence), "its failed result is forgotten")
    again = await t.one(session)
    t.expect.equal((again.envelope.id, again.counts), (task_id, Counts(0, 0, 0)), "the same task, from the start")
    await t.done(session, t.complete(again))
    if broker.results is not None:
        t.expect.is_a((await broker.results.get([task_id]))[0], Result, "this time it has a result")
    t.expect.equal(list(await store.replay([task_id])), [None], "it is no dead letter any more")
    if broker.events is not None:
        told = [e.event.task_id for e in await broker.events.read() if e.event.kind is EventKind.REPLAYED]
        t.expect.equal(told, [task_id], "the event of the one that was replayed")


@case(
    "dead.replay-dedup",
    needs=[Cap.DEAD_LETTERS, Cap.DEDUP],
    why="replay takes the dedup key again; held by another it is Duplicate and the dead letter stays; its end frees it",
)
async def _(t: Trial) -> None:
    broker = await t.broker()
    store = _store(t, broker)
    first, second = t.envelope(dedup=Dedup("k")), t.envelope(dedup=Dedup("k"))
    session, (delivery,) = await t.running(broker, first)
    await t.done(session, t.dead(delivery))
    await t.stored(broker, second)
    t.expect.equal(list(await store.replay([first.id])), [Duplicate(second.id)], "the key is taken")
    t.expect.found((await store.get([first.id]))[0], "the dead letter stays")
    await t.done(session, t.complete(await t.one(session)))
    t.expect.is_a((await store.replay([first.id]))[0], Stored, "the key is free")
    t.expect.equal(
        list(await t.publish(broker, t.envelope(dedup=Dedup("k")))), [Duplicate(first.id)], "and taken again"
    )
    await t.done(session, t.complete(await t.one(session)))
    await t.stored(broker, t.envelope(dedup=Dedup("k")))


@case(
    "dead.replay-through-a-scheduler",
    needs=DEAD,
    why="a replayed task starts anew, counts at zero: coming back from a Scheduler it is no repeat of its former life",
)
async def _(t: Trial) -> None:
    broker = await t.broker()
    t.needs_repeats()
    first = t.envelope()
    back = attrs.evolve(first, counts=Counts(1, 0, 0))
    session, (delivery,) = await t.running(broker, first)
    await t.done(session, t.moved(delivery))
    await t.stored(broker, back)
    await t.done(session, t.dead(await t.one(session)))
    t.expect.equal(list(await _store(t, broker).replay([first.id])), [STORED], "it waits again")
    await t.done(session, t.moved(await t.one(session)))
    await t.stored(broker, back)
    t.expect.equal((await t.one(session)).counts, back.counts, "its second attempt, of its second life")


@case("dead.replay-wakes", needs=DEAD, why="a replayed task wakes a session that waits")
async def _(t: Trial) -> None:
    broker, other = await t.broker(), await t.broker()
    session, (delivery,) = await t.running(broker, t.envelope())
    await t.done(session, t.dead(delivery))
    async with asyncio.TaskGroup() as group:
        waiting = group.create_task(t.awaited(session))
        await turns(20)
        await _store(t, other).replay([delivery.envelope.id])
        got = await t.soon(waiting, "a replay wakes")
    t.expect.equal(got.envelope.id, delivery.envelope.id, "it runs again")


@case("dead.replay-unreadable", needs=DEAD, why="unreadable bytes are Refused at replay and stay")
async def _(t: Trial) -> None:
    broker = await t.broker()
    session = await t.session(broker)
    planted = t.unreadable(b"\xff")
    await t.harness.plant(broker, planted)
    delivery = await t.one(session)
    await t.done(session, t.dead(delivery, "unreadable"))
    task_id = delivery.envelope.id
    t.expect.is_a((await _store(t, broker).replay([task_id]))[0], Refused, "there is nothing to run")
    t.expect.found((await _store(t, broker).get([task_id]))[0], "it stays")


@case("dead.purge", needs=DEAD, why="purge forgets dead letters: by id, by queue, by age, at most `limit`")
async def _(t: Trial) -> None:
    broker = await t.broker()
    store = _store(t, broker)
    session, taken = await t.running(broker, *t.envelopes(6))
    await t.done(session, *(t.dead(d) for d in taken))
    ids = [d.envelope.id for d in taken]
    t.expect.equal(await store.purge(older_than=FAR), 0, "none is that old")
    t.expect.equal(await store.purge(queue=t.queue("other")), 0, "none is of that queue")
    t.expect.equal(await store.purge(ids=[ids[0], t.id()]), 1, "the named one")
    t.expect.equal(await store.purge(limit=2), 2, "no more than the limit")
    t.expect.equal(await store.purge(queue=t.queue(), limit=100), 3, "the rest")
    t.expect.equal(list(await store.page()), [], "all are forgotten")
    await t.nothing(session, because="forgotten is not replayed")
