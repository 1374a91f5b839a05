"""Order: of a queue, and of an ordering key."""

from __future__ import annotations

import asyncio

import attrs

from orcastra_conformance.engine.case import case
from orcastra_conformance.engine.trial import FAR, Trial
from orcastra_core.model.counts import Counts
from orcastra_core.model.delivery import Want
from orcastra_core.model.ids import TaskId
from orcastra_core.model.profile import Cap

KEY = [Cap.ORDERED_KEY]


@case(
    "ord.fifo",
    needs=[Cap.ORDERED_QUEUE],
    why="one consumer sees a queue in publish order, within a batch and across batches",
)
async def _(t: Trial) -> None:
    one, other = await t.broker(), await t.broker()
    sent: list[TaskId] = []
    for broker in (one, other, one):
        batch = t.envelopes(7)
        t.rng.shuffle(batch)  # so that the order of ids is not the order of publishing
        await t.stored(broker, *batch)
        sent += [e.id for e in batch]
    session = await t.session(other)
    got = [d.envelope.id for d in await t.take(session, 21)]
    t.expect.equal(got, sent, "first in, first out")


@case("ord.key-one-at-a-time", needs=KEY, why="the next task of a key waits until the one before it is finally settled")
async def _(t: Trial) -> None:
    broker = await t.broker()
    sent = [t.envelope(order_by=key) for key in "aabbaab"]
    free = t.envelope()
    await t.stored(broker, *sent, free)
    sessions = [await t.session(broker) for _ in range(2)]
    ran: dict[str | None, list[TaskId]] = {}
    for _ in range(len(sent) + 2):
        async with asyncio.TaskGroup() as group:
            want = Want(9, [(t.queue(), 9)])
            fetches = [group.create_task(session.fetch(want, wait=0)) for session in sessions]
        keys = [getattr(d.envelope, "order_by", None) for fetch in fetches for d in fetch.result()]
        t.expect.equal(len([k for k in keys if k]), len({k for k in keys if k}), "one of a key at a time")
        for session, fetch in zip(sessions, fetches, strict=True):
            for delivery in fetch.result():
                ran.setdefault(getattr(delivery.envelope, "order_by", None), []).append(delivery.envelope.id)
                await t.done(session, t.complete(delivery))
    for key in ("a", "b", None):
        wanted = [e.id for e in [*sent, free] if e.order_by == key]
        t.expect.equal(ran.get(key), wanted, f"all of key {key} ran, in publish order")


@case(
    "ord.key-through-retry",
    needs=[Cap.ORDERED_KEY, Cap.DELAY],
    why="retries included: nothing overtakes inside a key while its head waits for another attempt",
)
async def _(t: Trial) -> None:
    broker = await t.broker()
    first, second = t.envelope(order_by="k"), t.envelope(order_by="k")
    await t.stored(broker, first, second)
    session = await t.session(broker)
    await t.done(session, t.retry(await t.one(session)))
    again = await t.one(session)
    t.expect.equal(again.envelope.id, first.id, "a retry at once: still the first")
    await t.done(session, t.release(again))
    again = await t.one(session)
    t.expect.equal(again.envelope.id, first.id, "a release: still the first")
    await t.done(session, t.retry(again, 2 * t.moment))
    await t.advance(3 * t.moment)
    await t.promote(broker)
    again = await t.one(session)
    t.expect.equal(again.envelope.id, first.id, "its delay is over: still the first")
    await t.done(session, t.retry(again, FAR))
    await t.nothing(session, because="the first waits for an hour, and so does the second")


@case(
    "ord.key-after-retry",
    needs=KEY,
    why="the key goes on once its head is settled for good, after however many attempts",
)
async def _(t: Trial) -> None:
    broker = await t.broker()
    first, second = t.envelope(order_by="k"), t.envelope(order_by="k")
    await t.stored(broker, first, second)
    session = await t.session(broker)
    for _ in range(3):
        delivery = await t.one(session)
        t.expect.equal(delivery.envelope.id, first.id, "still the first")
        await t.done(session, t.retry(delivery))
    await t.done(session, t.complete(await t.one(session)))
    t.expect.equal((await t.one(session)).envelope.id, second.id, "now the second")


@case("ord.key-through-loss", needs=KEY, why="nothing overtakes inside a key when its head's session is lost")
async def _(t: Trial) -> None:
    broker = await t.broker()
    first, second = t.envelope(order_by="k"), t.envelope(order_by="k")
    await t.stored(broker, first, second)
    lost = await t.session(broker)
    await t.one(lost)
    await broker.expire(lost.id)
    session = await t.session(broker)
    again = await t.one(session)
    t.expect.equal(again.envelope.id, first.id, "the first again")
    await t.nothing(session, because="the second waits")
    await t.done(session, t.complete(again))
    t.expect.equal((await t.one(session)).envelope.id, second.id, "now the second")


@case("ord.key-ends", needs=KEY, why="a key goes on when its head is dead")
async def _(t: Trial) -> None:
    broker = await t.broker()
    sent = [t.envelope(order_by="k") for _ in range(2)]
    await t.stored(broker, *sent)
    session = await t.session(broker)
    await t.done(session, t.dead(await t.one(session)))
    t.expect.equal((await t.one(session)).envelope.id, sent[1].id, "the next one runs")


@case(
    "ord.key-cancel",
    needs=[Cap.ORDERED_KEY, Cap.CANCEL],
    why="a key goes on when one of it is cancelled, at its head or in its middle",
)
async def _(t: Trial) -> None:
    broker = await t.broker()
    sent = [t.envelope(order_by="k") for _ in range(4)]
    await t.stored(broker, *sent)
    await broker.cancel([t.cancellation(sent[2].id), t.cancellation(sent[0].id)])
    session = await t.session(broker)
    for envelope in (sent[1], sent[3]):
        delivery = await t.one(session)
        t.expect.equal(delivery.envelope.id, envelope.id, "the next that is left")
        await t.nothing(session, because="one at a time")
        await t.done(session, t.complete(delivery))


@case(
    "ord.key-delayed-head",
    needs=[Cap.ORDERED_KEY, Cap.DELAY],
    why="a delayed head keeps its key: those behind wait until it is settled for good",
)
async def _(t: Trial) -> None:
    broker = await t.broker()
    session = await t.session(broker)
    await t.stored(broker, t.envelope(order_by="k", due=t.now() + FAR), t.envelope(order_by="k"))
    await t.promote(broker)
    await t.nothing(session, because="the first is due in an hour")


@case(
    "ord.key-through-a-scheduler",
    needs=KEY,
    why="Moved: its place in the line of its ordering key stays held, for the same id to take up again",
)
async def _(t: Trial) -> None:
    broker = await t.broker()
    sent = [t.envelope(order_by="k") for _ in range(3)]
    await t.stored(broker, *sent)
    session = await t.session(broker)
    await t.done(session, t.moved(await t.one(session)))
    await t.nothing(session, because="the head of its key is elsewhere, and has not ended")
    await t.stored(broker, attrs.evolve(sent[0], counts=Counts(1, 0, 0)))
    for envelope in sent:
        delivery = await t.one(session)
        t.expect.equal(delivery.envelope.id, envelope.id, "the key's order")
        await t.nothing(session, because="one at a time")
        await t.done(session, t.complete(delivery))
