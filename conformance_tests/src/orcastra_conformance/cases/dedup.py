"""Dedup keys."""

from __future__ import annotations

import asyncio

import attrs

from orcastra_conformance.engine.case import case
from orcastra_conformance.engine.trial import FAR, Trial
from orcastra_core.model.counts import Counts
from orcastra_core.model.envelope import Dedup, DedupMode, Envelope
from orcastra_core.model.profile import Cap
from orcastra_core.model.published import Duplicate, Stored
from orcastra_core.model.task_state import State

DEDUP = [Cap.DEDUP]


def _keyed(
    t: Trial, key: str = "k", mode: DedupMode = DedupMode.ALIVE, window: float | None = None, queue: str = "q"
) -> Envelope:
    return t.envelope(queue, dedup=Dedup(key, mode, window))


@case("dedup.once", needs=DEDUP, why="a dedup key that is held: Duplicate of its holder; nothing is stored")
async def _(t: Trial) -> None:
    broker = await t.broker()
    first = _keyed(t)
    await t.stored(broker, first)
    t.expect.equal(list(await t.publish(broker, _keyed(t))), [Duplicate(first.id)], "it names the first")
    await t.stored(broker, _keyed(t, "other"), t.envelope())
    session = await t.session(broker)
    await t.take(session, 3)
    await t.nothing(session, because="the duplicate was not stored")


@case("dedup.in-batch", needs=DEDUP, why="of two equal keys in a batch the first wins")
async def _(t: Trial) -> None:
    broker = await t.broker()
    first, second, third = _keyed(t), _keyed(t), _keyed(t, "other")
    answers = await t.publish(broker, first, second, third)
    t.expect.is_a(answers[0], Stored, "the first")
    t.expect.equal(answers[1], Duplicate(first.id), "the second")
    t.expect.is_a(answers[2], Stored, "another key")


@case("dedup.race", needs=DEDUP, why="of many at once one wins")
async def _(t: Trial) -> None:
    brokers = [await t.broker() for _ in range(4)]
    async with asyncio.TaskGroup() as group:
        tries = [group.create_task(broker.publish([_keyed(t)])) for broker in brokers for _ in range(5)]
    answers = [attempt.result()[0] for attempt in tries]
    t.expect.equal(sum(isinstance(a, Stored) for a in answers), 1, "twenty publishers, one winner")
    t.expect.equal(len({a.id for a in answers if isinstance(a, Duplicate)}), 1, "the others all name it")


@case(
    "dedup.until-settled",
    needs=DEDUP,
    why="a key holds through running, retries, releases and loss, and is free after the final settlement",
)
async def _(t: Trial) -> None:
    broker = await t.broker()
    first = _keyed(t)

    async def held(because: str) -> None:
        t.expect.equal(list(await t.publish(broker, _keyed(t))), [Duplicate(first.id)], because)

    session, (delivery,) = await t.running(broker, first)
    await held("while it runs")
    await t.done(session, t.retry(delivery))
    await held("after a failed attempt")
    await t.done(session, t.release(await t.one(session)))
    await held("after a release")
    await t.one(session)
    await broker.expire(session.id)
    await held("after its session was lost")
    session = await t.session(broker)
    await t.done(session, t.complete(await t.one(session)))
    second = _keyed(t)
    await t.stored(broker, second)
    await t.done(session, t.dead(await t.one(session)))
    await t.stored(broker, _keyed(t))


@case("dedup.until-start", needs=DEDUP, why="UNTIL_START: to the first hand-over")
async def _(t: Trial) -> None:
    broker = await t.broker()
    first = _keyed(t, mode=DedupMode.UNTIL_START)
    await t.stored(broker, first)
    again = _keyed(t, mode=DedupMode.UNTIL_START)
    t.expect.equal(list(await t.publish(broker, again)), [Duplicate(first.id)], "while it waits")
    session = await t.session(broker)
    await t.one(session)
    await t.stored(broker, again)


@case("dedup.window", needs=DEDUP, why="WINDOW: for its seconds from Stored, whatever becomes of the task")
async def _(t: Trial) -> None:
    broker = await t.broker()
    long, short = _keyed(t, "a", DedupMode.WINDOW, FAR), _keyed(t, "b", DedupMode.WINDOW, 2 * t.moment)
    session, taken = await t.running(broker, long, short)
    await t.done(session, *(t.complete(d) for d in taken))
    again = _keyed(t, "a", DedupMode.WINDOW, FAR)
    t.expect.equal(list(await t.publish(broker, again)), [Duplicate(long.id)], "it has ended, the window has not")
    await t.advance(3 * t.moment)
    await t.stored(broker, _keyed(t, "b", DedupMode.WINDOW, FAR))
    t.expect.equal(list(await t.publish(broker, again)), [Duplicate(long.id)], "a longer window goes on")


@case("dedup.scoped-to-queue", needs=DEDUP, why="a key is scoped to its queue")
async def _(t: Trial) -> None:
    broker = await t.broker()
    await t.stored(broker, _keyed(t, queue="q"), _keyed(t, queue="q2"), _keyed(t, queue="q:k"))


@case("dedup.emit", needs=DEDUP, why="emitted envelopes follow the rules of publish")
async def _(t: Trial) -> None:
    broker = await t.broker()
    session, (delivery,) = await t.running(broker, t.envelope())
    holder = _keyed(t)
    await t.stored(broker, holder)
    (done,) = await t.done(session, t.complete(delivery, emit=[_keyed(t), _keyed(t, "free")]))
    t.expect.equal(done.emitted[0], Duplicate(holder.id), "a held key")
    t.expect.is_a(done.emitted[1], Stored, "a free key")


@case("dedup.through-a-scheduler", needs=DEDUP, why="Moved: its dedup key stays held, for the same id to take up again")
async def _(t: Trial) -> None:
    broker = await t.broker()
    first = _keyed(t)
    session, (delivery,) = await t.running(broker, first)
    await t.done(session, t.moved(delivery))
    t.expect.equal(list(await t.publish(broker, _keyed(t))), [Duplicate(first.id)], "while it is elsewhere")
    await t.stored(broker, attrs.evolve(first, counts=Counts(1, 0, 0)))
    t.expect.equal(list(await t.publish(broker, _keyed(t))), [Duplicate(first.id)], "it is back")
    await t.done(session, t.complete(await t.one(session)))
    await t.stored(broker, _keyed(t))


@case("dedup.cancel-frees", needs=[Cap.DEDUP, Cap.CANCEL], why="cancelling a waiting task frees its dedup key")
async def _(t: Trial) -> None:
    broker = await t.broker()
    first = _keyed(t)
    await t.stored(broker, first)
    await broker.cancel([t.cancellation(first.id)])
    await t.stored(broker, _keyed(t))


@case(
    "dedup.purge-frees-the-window",
    needs=[Cap.DEDUP, Cap.PURGE, Cap.DEAD_LETTERS],
    why="purge forgets tasks, keys and all: a dead letter's too, which it held for a window",
)
async def _(t: Trial) -> None:
    broker = await t.broker()
    first, again = (_keyed(t, mode=DedupMode.WINDOW, window=FAR) for _ in range(2))
    session, (delivery,) = await t.running(broker, first)
    await t.done(session, t.dead(delivery))
    t.expect.equal(list(await t.publish(broker, again)), [Duplicate(first.id)], "it is dead, the window has not ended")
    t.expect.equal(await t.purge(broker, t.queue(), frozenset({State.DEAD})), 1, "the dead letter")
    await t.stored(broker, again)
