"""Publishing in the caller's transaction what asks for a delay, a priority, a key."""

from __future__ import annotations

import asyncio

from orcastra_conformance.engine.case import case
from orcastra_conformance.engine.transacting import publish_within, rolled_back, rows_of, stored_within
from orcastra_conformance.engine.trial import FAR, Trial
from orcastra_core.model.envelope import Dedup
from orcastra_core.model.profile import Cap
from orcastra_core.model.published import Duplicate, Stored


@case("tx.delay", needs=[Cap.TX_PUBLISH, Cap.DELAY], why="delay: what is due later is not handed out with the commit")
async def _(t: Trial) -> None:
    broker, rows = await t.broker(), await rows_of(t)
    session = await t.session(broker)
    async with rows.transaction(rows.clients[0]) as connection:
        later, much_later = t.envelope(due=t.now() + 2 * t.moment), t.envelope(due=t.now() + FAR)
        await stored_within(t, broker, connection, much_later, later)
    await t.advance(3 * t.moment)
    await t.promote(broker)
    t.expect.equal((await t.one(session)).envelope.id, later.id, "its moment has come")
    await t.nothing(session, because="the other one is due in an hour")


@case(
    "tx.priority", needs=[Cap.TX_PUBLISH, Cap.PRIORITY], why="priority: larger is served first, whoever committed first"
)
async def _(t: Trial) -> None:
    broker, rows = await t.broker(), await rows_of(t)
    low, high = t.profile.limits.priorities
    levels = list(dict.fromkeys((low, 0, high)))
    sent = [t.envelope(priority=level) for level in levels]
    async with rows.transaction(rows.clients[0]) as connection:
        await stored_within(t, broker, connection, *sent)
    got = await t.take(await t.session(broker), len(sent))
    t.expect.equal([d.envelope.id for d in got], [e.id for e in reversed(sent)], "highest first")


@case(
    "tx.ordering-key",
    needs=[Cap.TX_PUBLISH, Cap.ORDERED_KEY],
    why="ordering key: the next task of a key waits until the one before it is settled; one rolled back is waited for by nobody",
)
async def _(t: Trial) -> None:
    broker, rows = await t.broker(), await rows_of(t)
    sent = [t.envelope(order_by="k") for _ in range(3)]
    async with rolled_back(rows, rows.clients[0]) as connection:
        await stored_within(t, broker, connection, t.envelope(order_by="k"))
    async with rows.transaction(rows.clients[0]) as connection:
        await stored_within(t, broker, connection, *sent[:2])
    await t.stored(broker, sent[2])
    session = await t.session(broker)
    for envelope in sent:
        delivery = await t.one(session)
        t.expect.equal(delivery.envelope.id, envelope.id, "the key's order")
        await t.nothing(session, because="one at a time")
        await t.done(session, t.complete(delivery))


async def _second_of_two(t: Trial, *, commit: bool) -> None:
    """Have two transactions take one key, the first end, and judge what the second was answered."""
    broker, rows = await t.broker(), await rows_of(t)
    first, second = (t.envelope(dedup=Dedup("k")) for _ in range(2))
    begins = rows.transaction if commit else lambda client: rolled_back(rows, client)
    session = await t.session(broker)
    async with rows.transaction(rows.clients[-1]) as later, asyncio.TaskGroup() as group:
        async with begins(rows.clients[0]) as earlier:
            await stored_within(t, broker, earlier, first)
            waiting = group.create_task(publish_within(t, broker, later, second))
            await t.nothing(session, because="neither is committed")
            t.expect.true(not waiting.done(), "a dedup key that another open transaction has taken is waited for")
        (answer,) = await t.soon(waiting, "the first transaction is over: the second goes on")
        await rows.add(later, "later")
    t.expect.equal(answer, Duplicate(first.id) if commit else Stored(), "it answers by what became of the first")
    t.expect.equal(list(await rows.seen()), ["later"], "the second transaction was committed")
    kept = first if commit else second
    t.expect.equal((await t.one(session)).envelope.id, kept.id, "the one that has the key")
    await t.nothing(session, because="the key has one holder")


@case(
    "tx.dedup-waits-for-commit",
    needs=[Cap.TX_PUBLISH, Cap.DEDUP],
    why="a dedup key that another open transaction has just taken is waited for: Duplicate of its holder after the commit",
)
async def _(t: Trial) -> None:
    await _second_of_two(t, commit=True)


@case(
    "tx.dedup-waits-for-rollback",
    needs=[Cap.TX_PUBLISH, Cap.DEDUP],
    why="a dedup key that another open transaction has just taken is waited for: Stored after the rollback",
)
async def _(t: Trial) -> None:
    await _second_of_two(t, commit=False)
