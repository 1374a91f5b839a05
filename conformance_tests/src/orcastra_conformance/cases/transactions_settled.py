"""Settling in a transaction that the task writes in."""

from __future__ import annotations

import asyncio

from orcastra_conformance.engine.case import case
from orcastra_conformance.engine.transacting import (
    begun,
    effects,
    ended,
    publish_within,
    rows_of,
    settlement,
    untouched,
)
from orcastra_conformance.engine.trial import Trial
from orcastra_core.model.counts import Counts
from orcastra_core.model.delivery import Delivery
from orcastra_core.model.errors import BrokerClosed, SessionFenced
from orcastra_core.model.profile import Cap
from orcastra_core.model.published import Stored
from orcastra_core.model.result import Absence
from orcastra_core.model.settlement import STALE, Done, Failed

SETTLED = [Cap.TX_COMPLETE]


@case(
    "tx.settle-together",
    needs=SETTLED,
    why="settle: the rows, the acknowledgement, the result, the events and the emitted envelopes appear together; before it, none",
)
async def _(t: Trial) -> None:
    broker, rows = await t.broker(), await rows_of(t)
    feed = await broker.results.subscribe() if broker.results is not None else None
    session, (delivery,) = await t.running(broker, t.envelope(reply=feed.channel if feed is not None else None))
    heir, follow_up = await t.session(await t.broker(), t.queue("next")), t.envelope("next")
    transaction = await begun(t, session, delivery, rows, "row")
    seen = await effects(t, broker, rows, session, delivery)
    t.expect.equal(seen, dict.fromkeys(seen, False), "before it is settled nothing of it is there")
    async with asyncio.TaskGroup() as group:
        waiting = group.create_task(t.awaited(heir, t.queue("next")))
        done = t.expect.is_a(await ended(t, transaction, settlement(t, delivery, follow_up)), Done, "it is settled")
        emitted = await t.soon(waiting, "an emitted envelope wakes, as a published one does")
    t.expect.equal([type(answer) for answer in done.emitted], [Stored], "Done.emitted is aligned with emit")
    t.expect.equal(emitted.envelope.id, follow_up.id, "the follow-up is there")
    seen = await effects(t, broker, rows, session, delivery)
    t.expect.equal(seen, dict.fromkeys(seen, True), "once it is settled all of it is there")
    t.expect.equal(list(await rows.seen()), ["row"], "the row as it was written")
    if feed is not None:
        pushed = await t.soon(feed.next(wait=t.harness.soon), "its result is pushed")
        t.expect.equal([result.id for result in pushed], [delivery.envelope.id], "its result is pushed to who waits")
        await feed.close()
    await session.leave()
    await t.nothing(await t.session(broker), because="it is finished")


@case(
    "tx.settle-repeated",
    needs=SETTLED,
    why="settle may be called once more and answers the same; an abandon after it changes nothing",
)
async def _(t: Trial) -> None:
    broker, rows = await t.broker(), await rows_of(t)
    session, (delivery,) = await t.running(broker, t.envelope())
    follow_up = t.envelope("next")
    transaction = await begun(t, session, delivery, rows, "row")
    item = settlement(t, delivery, follow_up)
    first = t.expect.is_a(await ended(t, transaction, item), Done, "it is settled")
    t.expect.equal(await ended(t, transaction, item), first, "a repeat answers the same")
    await transaction.abandon()
    t.expect.equal(list(await t.settle(session, t.complete(delivery))), [STALE], "an ordinary settle comes too late")
    t.expect.equal(list(await rows.seen()), ["row"], "the row is there, once")
    heir = await t.session(broker, t.queue(), t.queue("next"))
    t.expect.equal((await t.one(heir, t.queue("next"))).envelope.id, follow_up.id, "the follow-up is there")
    await t.nothing(heir, t.queue(), t.queue("next"), because="it was emitted once, and the task is finished")


@case(
    "tx.settle-every-kind",
    needs=SETTLED,
    why="a retry, a release, a move and a dead letter, settled in a transaction: the rows are there, and it counts as ever",
)
async def _(t: Trial) -> None:
    broker, rows = await t.broker(), await rows_of(t)
    session, (a, b, c, d) = await t.running(broker, *t.envelopes(4))
    for item in (t.retry(a), t.release(b), t.moved(c), t.dead(d)):
        kind = type(item).__name__
        transaction = await begun(t, session, item.delivery, rows, kind)
        t.expect.is_a(await ended(t, transaction, item), Done, f"{kind} is settled")
    t.expect.equal(list(await rows.seen()), ["Retry", "Release", "Moved", "Dead"], "the rows of each")
    again = {one.envelope.id: one.counts for one in await t.take(session, 2)}
    t.expect.equal(again, {a.envelope.id: Counts(1, 0, 0), b.envelope.id: Counts(0, 0, 1)}, "these two come again")
    await t.nothing(session, because="the others do not")
    if broker.dead_letters is not None:
        t.expect.found((await broker.dead_letters.get([d.envelope.id]))[0], "one is a dead letter")


@case(
    "tx.settle-failed",
    needs=SETTLED,
    why="Failed: neither the settlement nor a row is there, and the delivery is still held",
)
async def _(t: Trial) -> None:
    broker, rows = await t.broker(), await rows_of(t)
    session, (delivery,) = await t.running(broker, t.envelope())
    transaction = await begun(t, session, delivery, rows, "row")
    too_large = t.complete(delivery, bytes(t.profile.limits.max_body + 1), emit=[t.envelope("next")])
    t.expect.is_a(await ended(t, transaction, too_large), Failed, "a result beyond max_body cannot be stored")
    await untouched(t, broker, rows, session, delivery, "after a settlement that failed")


@case(
    "tx.abandon",
    needs=SETTLED,
    why="abandon rolls the rows back and lets the delivery be: still held, to be settled as ever; idempotent",
)
async def _(t: Trial) -> None:
    broker, rows = await t.broker(), await rows_of(t)
    session, (delivery,) = await t.running(broker, t.envelope())
    for _ in range(2):  # the second time as if nothing had been
        transaction = await begun(t, session, delivery, rows, "row")
        await transaction.abandon()
        await transaction.abandon()
    gone = await begun(t, session, delivery, rows, "row")
    await rows.cut(gone.connection)
    await gone.abandon()  # does not fail
    await untouched(t, broker, rows, session, delivery, "after abandon")


@case(
    "tx.settle-reaped",
    needs=[Cap.TX_COMPLETE, Cap.FENCED],
    why="what fences a delivery fences its transaction: STALE, and no row; the next holder's run counts, once",
)
async def _(t: Trial) -> None:
    broker, rows = await t.broker(), await rows_of(t)
    session, (delivery,) = await t.running(broker, t.envelope())
    late = await begun(t, session, delivery, rows, "late")
    other = await t.broker()
    t.expect.equal(await other.expire(session.id), 1, "a delivery with an open transaction is reaped like any other")
    heir = await t.session(other)
    again = await t.one(heir)
    transaction = await begun(t, heir, again, rows, "heir")
    t.expect.equal(await ended(t, late, settlement(t, delivery, t.envelope("next"))), STALE, "it came too late")
    t.expect.equal(list(await rows.seen()), [], "neither a row of it")
    await t.expect.raises(SessionFenced, session.transaction(delivery), "a reaped session begins none")
    follow_up = t.envelope("next")
    t.expect.is_a(await ended(t, transaction, settlement(t, again, follow_up)), Done, "the next holder's counts")
    t.expect.equal(list(await rows.seen()), ["heir"], "its row is there, alone")
    got = await t.one(heir, t.queue("next"))
    t.expect.equal(got.envelope.id, follow_up.id, "its follow-up is there")
    await t.nothing(heir, t.queue(), t.queue("next"), because="nothing of the late one is")


@case(
    "tx.settle-beside",
    needs=SETTLED,
    why="an ordinary settle of the same delivery beside its open transaction: exactly one of the two takes effect",
)
async def _(t: Trial) -> None:
    broker, rows = await t.broker(), await rows_of(t)
    session = await t.session(broker)
    wanted: list[str] = []
    for order in ("transaction first", "ordinary first", "both at once"):
        await t.stored(broker, t.envelope())
        delivery = await t.one(session)
        within, beside = t.envelope("next"), t.envelope("next")
        transaction = await begun(t, session, delivery, rows, order)
        inner, ordinary = settlement(t, delivery, within), t.complete(delivery, b"\x02", emit=[beside])
        if order == "transaction first":
            answers = [await ended(t, transaction, inner), *await t.settle(session, ordinary)]
        elif order == "ordinary first":
            answers = [*await t.settle(session, ordinary), await ended(t, transaction, inner)][::-1]
        else:
            async with asyncio.TaskGroup() as group:
                one = group.create_task(ended(t, transaction, inner))
                two = group.create_task(t.settle(session, ordinary))
            answers = [one.result(), *two.result()]
        done = [isinstance(answer, Done) for answer in answers]
        t.expect.equal([sum(done), answers.count(STALE)], [1, 1], f"{order}: one is Done and one is STALE")
        if order != "both at once":
            t.expect.equal(done[0], order == "transaction first", f"{order}: it is the first")
        wanted += [order] * done[0]
        t.expect.equal(list(await rows.seen()), wanted, f"{order}: the row is there if it was the transaction")
        got = (await t.one(session, t.queue("next"))).envelope.id
        t.expect.equal(got, (within if done[0] else beside).id, f"{order}: the follow-up is that of the one that won")
        await t.nothing_now(session, t.queue(), t.queue("next"), because=f"{order}: and there is no other")


@case(
    "tx.leave",
    needs=SETTLED,
    why="leave with an open transaction: no row, the delivery is handed back, settle raises BrokerClosed",
)
async def _(t: Trial) -> None:
    broker, rows = await t.broker(), await rows_of(t)
    session, (delivery,) = await t.running(broker, t.envelope())
    transaction = await begun(t, session, delivery, rows, "row")
    await t.soon(session.leave(), "leave does not wait for the task")
    heir = await t.session(await t.broker())
    again = await t.one(heir)
    t.expect.equal(again.counts, Counts(0, 0, 1), "it was released")
    settling = transaction.settle(settlement(t, delivery, t.envelope("next")))
    await t.expect.raises(BrokerClosed, settling, "the session has ended")
    await transaction.abandon()
    await untouched(t, broker, rows, heir, again, "after leave")


@case(
    "tx.close",
    needs=SETTLED,
    why="close with an open transaction: no row, settle and transaction raise BrokerClosed, nothing is left open",
)
async def _(t: Trial) -> None:
    broker, witness, rows = await t.broker(), await t.broker(), await rows_of(t)
    session, (delivery, other) = await t.running(broker, *t.envelopes(2))
    transaction = await begun(t, session, delivery, rows, "row")
    await t.soon(broker.close(), "close does not wait for the task")
    settling = transaction.settle(settlement(t, delivery, t.envelope("next")))
    await t.expect.raises(BrokerClosed, settling, "the broker is closed")
    await t.expect.raises(BrokerClosed, session.transaction(other), "the broker is closed")
    await transaction.abandon()
    await witness.expire(session.id)
    heir = await t.session(witness)
    again = {one.envelope.id: one for one in await t.take(heir, 2)}
    await t.done(heir, t.complete(again[other.envelope.id]))
    if witness.results is not None:
        (found,) = await witness.results.get([delivery.envelope.id])
        t.expect.true(isinstance(found, Absence), "it has no result")
    await untouched(t, witness, rows, heir, again[delivery.envelope.id], "after close")


@case(
    "tx.settle-many",
    needs=SETTLED,
    slow=True,
    why="transactions are dear: those who find no connection free wait for one, in turn; all of them get through",
)
async def _(t: Trial) -> None:
    broker, rows = await t.broker(), await rows_of(t)
    number = 30
    session, taken = await t.running(broker, *t.envelopes(number))

    async def work(delivery: Delivery) -> None:
        transaction = await begun(t, session, delivery, rows, delivery.envelope.id)
        t.expect.is_a(await ended(t, transaction, settlement(t, delivery)), Done, "it is settled")

    async with asyncio.TaskGroup() as group:
        for delivery in taken:
            group.create_task(work(delivery))
    t.expect.same(await rows.seen(), [delivery.envelope.id for delivery in taken], "each row is there, once")
    t.expect.equal(list(await session.held()), [], "all are settled")


@case(
    "tx.settle-publishes",
    needs=[Cap.TX_COMPLETE, Cap.TX_PUBLISH],
    why="a task may publish within the transaction it is settled in: with its settlement, or not at all",
)
async def _(t: Trial) -> None:
    broker, rows = await t.broker(), await rows_of(t)
    session, (delivery,) = await t.running(broker, t.envelope())
    heir = await t.session(broker, t.queue("next"))
    lost, kept = t.envelope("next"), t.envelope("next")
    for envelope in (lost, kept):
        transaction = await begun(t, session, delivery, rows, "row")
        for answer in await publish_within(t, broker, transaction.connection, envelope):
            t.expect.is_a(answer, Stored, "its connection is one that the broker knows")
        await t.nothing(heir, t.queue("next"), because="it is not settled yet")
        if envelope is lost:
            await transaction.abandon()
            await t.nothing(heir, t.queue("next"), because="it was rolled back")
        else:
            t.expect.is_a(await ended(t, transaction, settlement(t, delivery)), Done, "it is settled")
    t.expect.equal((await t.one(heir, t.queue("next"))).envelope.id, kept.id, "it came with the settlement")
    t.expect.equal(list(await rows.seen()), ["row"], "and with the row")
