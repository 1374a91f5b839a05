"""Transactions when something goes wrong: a broken rule, a cut connection, a cancelled call, a task that fails."""

from __future__ import annotations

import asyncio

from orcastra_conformance.cases.running import AT_ONCE
from orcastra_conformance.engine.app import App, in_time, running_context
from orcastra_conformance.engine.case import case
from orcastra_conformance.engine.steps import cancelled_after, growing_steps
from orcastra_conformance.engine.transacting import (
    begun,
    ended,
    publish_within,
    rolled_back,
    rows_of,
    settlement,
    stored_within,
    unseen,
    untouched,
)
from orcastra_conformance.engine.trial import Trial
from orcastra_core.model.errors import OrcastraError, TransactionRolledBack
from orcastra_core.model.event import EventKind
from orcastra_core.model.profile import Cap
from orcastra_core.model.settlement import Done

SETTLED = [Cap.TX_COMPLETE]
_ROUNDS = 4
"""How often every step is tried: what each time keeps a little runs out of it."""


@case(
    "tx.cut-while-publishing",
    needs=[Cap.TX_PUBLISH],
    why="a connection that the server has ended raises an error of the tree, stores nothing and harms nobody else",
)
async def _(t: Trial) -> None:
    broker, rows = await t.broker(), await rows_of(t)
    sent = t.envelopes(2)
    for client in rows.clients:
        async with rolled_back(rows, client) as connection:
            await stored_within(t, broker, connection, sent[0])
            await rows.cut(connection)
            await t.expect.raises(OrcastraError, broker.publish_within(connection, sent[1:]), "the connection is gone")
    await unseen(t, broker, "nothing was committed", *sent)
    async with rows.transaction(rows.clients[0]) as connection:
        await stored_within(t, broker, connection, *sent)
    await t.take(await t.session(broker), 2)


@case(
    "tx.publish-cancelled",
    needs=[Cap.TX_PUBLISH],
    slow=True,
    why="a cancelled publish_within, rolled back: nothing is there, and broker and connections go on",
)
async def _(t: Trial) -> None:
    broker, rows = await t.broker(), await rows_of(t)
    session = await t.session(broker)
    for steps in growing_steps(500):
        sent = t.envelopes(3)
        async with rolled_back(rows, rows.clients[0]) as connection:
            cut = await cancelled_after(steps, publish_within(t, broker, connection, *sent))
        await t.nothing_now(session, because=f"cancelled after {steps} steps and rolled back: nothing is there")
        async with rows.transaction(rows.clients[0]) as connection:
            await stored_within(t, broker, connection, *sent)
        taken = await t.take(session, 3)
        await t.done(session, *(t.complete(delivery) for delivery in taken))
        if cut.finished:
            return


@case(
    "tx.settle-broken-rule",
    needs=SETTLED,
    why="a row that breaks a constraint at the commit: TransactionRolledBack, not retryable; no row, and still held",
)
async def _(t: Trial) -> None:
    broker, rows = await t.broker(), await rows_of(t)
    session, (delivery,) = await t.running(broker, t.envelope())
    transaction = await begun(t, session, delivery, rows, "row")
    await rows.break_rule(transaction.connection)
    item = settlement(t, delivery, t.envelope("next"))
    for when in ("it did not commit", "a repeat raises the same"):
        error = await t.expect.raises(TransactionRolledBack, ended(t, transaction, item), when)
        t.expect.true(not error.retryable, f"{when}: a repeat of the task would break it again: not retryable")
        t.expect.found(error.__cause__, f"{when}: __cause__ has the client's own error")
    await untouched(t, broker, rows, session, delivery, "after a broken rule")


@case(
    "tx.settle-cut",
    needs=SETTLED,
    why="its connection was lost before settle: TransactionRolledBack, retryable; no row, and still held",
    hint="BrokerUnavailable or BrokerTimeout first, while what became of the commit is not known, is fine",
)
async def _(t: Trial) -> None:
    broker, rows = await t.broker(), await rows_of(t)
    session, (delivery,) = await t.running(broker, t.envelope())
    transaction = await begun(t, session, delivery, rows, "row")
    await rows.cut(transaction.connection)
    item = settlement(t, delivery, t.envelope("next"))
    for when in ("it did not commit", "a repeat raises the same"):
        error = await t.expect.raises(TransactionRolledBack, ended(t, transaction, item), when)
        t.expect.true(error.retryable, f"{when}: that was none of the task's doing: retryable")
    await untouched(t, broker, rows, session, delivery, "after a cut")
    # and the connection that took its place is a sound one
    await t.stored(broker, t.envelope())
    delivery = await t.one(session)
    transaction = await begun(t, session, delivery, rows, "row")
    t.expect.is_a(await ended(t, transaction, settlement(t, delivery)), Done, "the next transaction is none the worse")
    t.expect.equal(list(await rows.seen()), ["row"], "its row is there")


@case(
    "tx.transaction-cancelled",
    needs=SETTLED,
    slow=True,
    why="transaction, cancelled at every step of it: nothing is held for it, and the next one begins",
    hint="a connection that a cancelled call had in hand goes back, or is closed; those who wait get their turn",
)
async def _(t: Trial) -> None:
    broker, rows = await t.broker(), await rows_of(t)
    session, (delivery,) = await t.running(broker, t.envelope())
    for _ in range(_ROUNDS):
        for steps in growing_steps(500):
            cut = await cancelled_after(steps, session.transaction(delivery))
            if cut.value is not None:
                await cut.value.abandon()
            anew = f"cancelled after {steps} steps, then anew"
            transaction = await t.soon(begun(t, session, delivery, rows, "row"), anew)
            await transaction.abandon()
            if cut.finished:
                break
    await untouched(t, broker, rows, session, delivery, "after transactions that were cancelled")


@case(
    "tx.settle-cancelled",
    needs=SETTLED,
    slow=True,
    why="settle, cancelled at every step of it: wholly or not at all, and a repeat says which",
)
async def _(t: Trial) -> None:
    broker, rows = await t.broker(), await rows_of(t)
    session = await t.session(broker, t.queue(), t.queue("next"))
    wanted: list[str] = []
    for steps in growing_steps(500):
        after = f"cancelled after {steps} steps"
        await t.stored(broker, t.envelope())
        delivery = await t.one(session)
        follow_up = t.envelope("next")
        item = settlement(t, delivery, follow_up)
        transaction = await begun(t, session, delivery, rows, delivery.envelope.id)
        cut = await cancelled_after(steps, transaction.settle(item))
        try:
            answer = await t.soon(ended(t, transaction, item), f"{after}: a repeat answers")
        except TransactionRolledBack as error:
            t.expect.true(error.retryable, f"{after}: that was none of the task's doing: retryable")
            t.expect.true(not cut.finished, f"{after}: a repeat answers what the first call answered")
            await t.done(session, t.complete(delivery, emit=[follow_up]))
        else:
            t.expect.is_a(answer, Done, f"{after}: the repeat is Done")
            wanted.append(delivery.envelope.id)
        t.expect.equal(list(await rows.seen()), wanted, f"{after}: the row is there if it was committed, and once")
        t.expect.equal((await t.one(session, t.queue("next"))).envelope.id, follow_up.id, f"{after}: the follow-up")
        await t.nothing_now(session, t.queue(), t.queue("next"), because=f"{after}: once")
        if broker.events is not None and delivery.envelope.id in wanted:
            told = [e for e in await broker.events.read(limit=1000) if e.event.task_id == delivery.envelope.id]
            t.expect.equal(len(told), 1, f"{after}: one event")
        if cut.finished:
            break
    t.expect.true(wanted, "the last one was not cancelled")


@case(
    "tx.worker",
    needs=SETTLED,
    slow=True,
    why="a task that writes through Context.transaction(), run by the real worker and failing twice: its row is there once",
)
async def _(t: Trial) -> None:
    app, rows, ran, over = App(t), await rows_of(t), list[str](), asyncio.Event()

    @app.task(name="writes", queue="q", retry=AT_ONCE)
    async def writes(name: str) -> str:
        context = running_context(t)
        connection = await context.transaction()
        t.expect.true(await context.transaction() is connection, "one attempt has one transaction")
        await rows.add(connection, f"{name} {context.attempt}")
        ran.append(f"{name} {context.attempt}")
        if context.attempt < 3:
            raise ValueError("not yet")
        if name == "broken":
            await rows.break_rule(connection)
        return name

    @app.task(name="last", queue="last")
    async def last() -> None:
        over.set()

    async with app:
        handles = [await writes.submit(name) for name in ("a", "b", "broken")]
        async with app.at_work(concurrency=5):
            if t.claims(Cap.RESULTS):
                for handle in handles[:2]:
                    result = await in_time(t, handle.wait(), "the third attempt succeeds")
                    t.expect.true(result.success, "its value comes with its rows")
            failure = await app.failure(handles[2], "a task whose rows break a rule fails")
            await last.submit()
            await in_time(t, over.wait(), "the worker goes on")
    if failure is not None:
        t.expect.true(failure.error.type.endswith("TransactionRolledBack"), f"it says why: {failure.error.type}")
    t.expect.same(
        ran, [f"{name} {n}" for name in ("a", "b", "broken") for n in (1, 2, 3)], "each was tried three times"
    )
    t.expect.same(await rows.seen(), ["a 3", "b 3"], "what came to an end wrote once; what failed, nothing")
    if app.broker.events is not None:
        told = [e.event.task_id for e in await app.broker.events.read() if e.event.kind is EventKind.COMPLETED]
        t.expect.equal(sum(told.count(handle.id) for handle in handles), 2, "two have completed")
    await t.nothing(await t.session(app.broker), because="all of it was settled")
