"""How long keys and counts last."""

from __future__ import annotations

from orcastra_conformance.engine.case import case
from orcastra_conformance.engine.trial import FAR, Trial
from orcastra_core.interfaces.session import Session
from orcastra_core.model.counts import Counts
from orcastra_core.model.delivery import Delivery
from orcastra_core.model.envelope import Dedup, DedupMode, Envelope
from orcastra_core.model.profile import Cap
from orcastra_core.model.published import Duplicate, Published, Stored
from orcastra_core.model.task_state import Cancelled

DEDUP, KEY = [Cap.DEDUP], [Cap.ORDERED_KEY]


def _keyed(t: Trial, mode: DedupMode = DedupMode.ALIVE, *, due: float | None = None) -> Envelope:
    return t.envelope(dedup=Dedup("k", mode), due=due)


@case(
    "dedup.while-delayed",
    needs=[Cap.DEDUP, Cap.DELAY],
    why="a key holds while its task waits for its due moment: from publish, a retry or a release",
)
async def _(t: Trial) -> None:
    broker = await t.broker()
    session = await t.session(broker)
    first = _keyed(t, due=t.now() + 2 * t.moment)
    await t.stored(broker, first)

    async def held(because: str) -> None:
        t.expect.equal(list(await t.publish(broker, _keyed(t))), [Duplicate(first.id)], because)

    await held("before it is due")
    await t.advance(3 * t.moment)
    await t.promote(broker)
    delivery = await t.one(session)
    await held("once it runs")
    await t.done(session, t.release(delivery, 2 * t.moment))
    await held("while it was handed back for a moment")
    await t.advance(3 * t.moment)
    await t.promote(broker)
    await t.done(session, t.retry(await t.one(session), FAR))
    await held("while it waits for its second attempt")
    if t.claims(Cap.CANCEL):
        await broker.cancel([t.cancellation(first.id)])
        await t.stored(broker, _keyed(t))


@case("dedup.through-leave", needs=DEDUP, why="a key holds when its session leaves without having settled it")
async def _(t: Trial) -> None:
    broker = await t.broker()
    first = _keyed(t)
    session, _ = await t.running(broker, first)
    await session.leave()
    t.expect.equal(list(await t.publish(broker, _keyed(t))), [Duplicate(first.id)], "it waits again")
    heir = await t.session(broker)
    await t.done(heir, t.complete(await t.one(heir)))
    await t.stored(broker, _keyed(t))


@case(
    "dedup.until-start-stays-free",
    needs=DEDUP,
    why="UNTIL_START: freed by the first hand-over, it is not taken again by a release, a retry or a loss",
)
async def _(t: Trial) -> None:
    broker = await t.broker()
    first, second = _keyed(t, DedupMode.UNTIL_START), _keyed(t, DedupMode.UNTIL_START)
    session, (delivery,) = await t.running(broker, first)
    await t.stored(broker, second)
    await t.done(session, t.release(delivery))
    third = _keyed(t, DedupMode.UNTIL_START)
    t.expect.equal(list(await t.publish(broker, third)), [Duplicate(second.id)], "the second has it")
    await t.take(session, 2)
    await t.stored(broker, third)
    await broker.expire(session.id)
    t.expect.equal(
        list(await t.publish(broker, _keyed(t, DedupMode.UNTIL_START))), [Duplicate(third.id)], "the third has it"
    )
    heir = await t.session(broker)
    for delivery in await t.take(heir, 3):
        await t.done(heir, t.complete(delivery))
    await t.stored(broker, _keyed(t, DedupMode.UNTIL_START))


@case(
    "dedup.window-outlives",
    needs=[Cap.DEDUP, Cap.CANCEL],
    why="WINDOW: neither a cancel nor the end of its task ends it before its time",
)
async def _(t: Trial) -> None:
    broker = await t.broker()

    async def publish(key: str) -> tuple[Envelope, Published]:
        envelope = t.envelope(dedup=Dedup(key, DedupMode.WINDOW, FAR))
        (answer,) = await t.publish(broker, envelope)
        return envelope, answer

    cancelled, _ = await publish("cancelled")
    t.expect.equal(list(await broker.cancel([t.cancellation(cancelled.id)])), [Cancelled.REMOVED], "it was waiting")
    dead, _ = await publish("dead")
    session = await t.session(broker)
    await t.done(session, t.dead(await t.one(session)))
    for key, holder in (("cancelled", cancelled), ("dead", dead)):
        _, answer = await publish(key)
        t.expect.equal(answer, Duplicate(holder.id), f"{key}: an hour has not passed")
    await t.nothing(session, because="neither was stored again")


@case(
    "dedup.replay-takes",
    needs=[Cap.DEDUP, Cap.DEAD_LETTERS],
    why="a dead task has freed its key; replayed it holds it again until it has ended",
)
async def _(t: Trial) -> None:
    broker = await t.broker()
    store = t.expect.found(broker.dead_letters, "DEAD_LETTERS is claimed: the sub-service is there")
    first = _keyed(t)
    session, (delivery,) = await t.running(broker, first)
    await t.done(session, t.dead(delivery))
    await t.stored(broker, _keyed(t))
    await t.done(session, t.complete(await t.one(session)))
    t.expect.is_a((await store.replay([first.id]))[0], Stored, "the key is free")
    delivery = await t.one(session)
    t.expect.equal(list(await t.publish(broker, _keyed(t))), [Duplicate(first.id)], "and held while it runs again")
    await t.done(session, t.complete(delivery))
    await t.stored(broker, _keyed(t))


@case("ord.key-scoped-to-queue", needs=KEY, why="an ordering key is scoped to its queue, and no key waits for another")
async def _(t: Trial) -> None:
    broker = await t.broker()
    sent = [t.envelope(queue, order_by=key) for queue in ("q", "other") for key in ("a", "b", "a:b")]
    await t.stored(broker, *sent)
    session = await t.session(broker)
    taken = await t.take(session, 6, t.queue(), t.queue("other"))
    t.expect.same([d.envelope.id for d in taken], [e.id for e in sent], "six keys, all of them at once")


@case(
    "ord.key-through-leave",
    needs=KEY,
    why="nothing overtakes inside a key when its head's session leaves",
)
async def _(t: Trial) -> None:
    broker = await t.broker()
    sent = [t.envelope(order_by="k") for _ in range(2)]
    await t.stored(broker, *sent)
    leaving, session = await t.session(broker), await t.session(broker)
    await t.one(leaving)
    await leaving.leave()
    for envelope in sent:
        delivery = await t.one(session)
        t.expect.equal(delivery.envelope.id, envelope.id, "the key's order")
        await t.nothing(session, because="one at a time")
        await t.done(session, t.complete(delivery))


@case(
    "ord.key-emit",
    needs=KEY,
    why="an emitted envelope lines up behind those of its key, its own parent included until that is settled",
)
async def _(t: Trial) -> None:
    broker = await t.broker()
    first, second = t.envelope(order_by="k"), t.envelope(order_by="k")
    await t.stored(broker, first, second)
    session = await t.session(broker)
    child = t.envelope(order_by="k")
    await t.done(session, t.complete(await t.one(session), emit=[child]))
    for envelope in (second, child):
        delivery = await t.one(session)
        t.expect.equal(delivery.envelope.id, envelope.id, "the key's order")
        await t.nothing(session, because="one at a time")
        await t.done(session, t.complete(delivery))


@case(
    "ord.key-replay",
    needs=[Cap.ORDERED_KEY, Cap.DEAD_LETTERS],
    why="a replayed task lines up anew, behind those of its key that wait or run",
)
async def _(t: Trial) -> None:
    broker = await t.broker()
    store = t.expect.found(broker.dead_letters, "DEAD_LETTERS is claimed: the sub-service is there")
    first, second, third = (t.envelope(order_by="k") for _ in range(3))
    session, (delivery,) = await t.running(broker, first)
    await t.done(session, t.dead(delivery))
    await t.stored(broker, second, third)
    running = await t.one(session)
    await store.replay([first.id])
    await t.nothing(session, because="the second runs")
    await t.done(session, t.complete(running))
    for envelope in (third, first):
        delivery = await t.one(session)
        t.expect.equal(delivery.envelope.id, envelope.id, "the replayed one comes last")
        await t.nothing(session, because="one at a time")
        await t.done(session, t.complete(delivery))


@case(
    "ses.lost-counts-up",
    why="lost is how many sessions died holding it since its last settlement: every settlement that goes on starts it anew",
)
async def _(t: Trial) -> None:
    broker = await t.broker()
    await t.stored(broker, t.envelope())

    async def after(times: int) -> tuple[Session, Delivery]:
        for _ in range(times):
            session = await t.session(broker)
            await t.one(session)
            await broker.expire(session.id)
        session = await t.session(broker)
        return session, await t.one(session)

    session, delivery = await after(5)
    t.expect.equal(delivery.counts, Counts(0, 5, 0), "five sessions died holding it")
    await t.done(session, t.retry(delivery))
    await session.leave()
    session, delivery = await after(2)
    t.expect.equal(delivery.counts, Counts(1, 2, 0), "two more, since its attempt failed")
    await session.leave()
    session, delivery = await after(1)
    t.expect.equal(delivery.counts, Counts(1, 1, 1), "one more, since it was handed back by a session that left")
    await t.done(session, t.release(delivery))
    t.expect.equal((await t.one(session)).counts, Counts(1, 0, 2), "none, since it was released")
