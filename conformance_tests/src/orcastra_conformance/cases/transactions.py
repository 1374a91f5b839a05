"""Publishing in the caller's transaction."""

from __future__ import annotations

import asyncio
from typing import Any

from orcastra_conformance.engine.case import case
from orcastra_conformance.engine.steps import turns
from orcastra_conformance.engine.transacting import publish_within, rolled_back, rows_of, stored_within, unseen
from orcastra_conformance.engine.trial import Trial
from orcastra_core.model.envelope import Dedup, Envelope
from orcastra_core.model.errors import InvalidOption
from orcastra_core.model.event import EventKind
from orcastra_core.model.profile import Cap
from orcastra_core.model.published import Duplicate, Published, Refused, Stored
from orcastra_core.model.queue import QueueSpec

WITHIN = [Cap.TX_PUBLISH]


@case(
    "tx.commit-shows",
    needs=WITHIN,
    why="publish_within: none can be fetched, found or told of before the caller commits, then all can, in their order",
)
async def _(t: Trial) -> None:
    broker, rows = await t.broker(), await rows_of(t)
    sent = t.envelopes(5)
    events = [t.event(EventKind.SUBMITTED, envelope.id) for envelope in sent]
    other = await t.broker()
    async with rows.transaction(rows.clients[0]) as connection:
        await rows.add(connection, "row")
        answers = await publish_within(t, broker, connection, *sent[:3], events=events[:3])
        answers = [*answers, *await publish_within(t, broker, connection, *sent[3:], events=events[3:])]
        t.expect.equal([type(answer) for answer in answers], [Stored] * 5, "an envelope within the limits is Stored")
        t.expect.equal(list(await rows.seen()), [], "it is not committed for the caller")
        for looking in (broker, other):
            await unseen(t, looking, "before the commit", *sent)
    t.expect.equal(list(await rows.seen()), ["row"], "the caller's own row is committed with them")
    if broker.events is not None:
        kinds = [e.event.task_id for e in await broker.events.read(limit=1000) if e.event.kind is EventKind.SUBMITTED]
        t.expect.same(kinds, [envelope.id for envelope in sent], "their events are there by the same commit")
    got = await t.take(await t.session(other), 5)
    t.in_order([d.envelope.id for d in got], [envelope.id for envelope in sent], "all are there, in their order")


@case("tx.commit-wakes", needs=WITHIN, why="after the commit, and not before it, a session that waits is woken")
async def _(t: Trial) -> None:
    broker, rows = await t.broker(), await rows_of(t)
    session, envelope = await t.session(await t.broker()), t.envelope()
    async with asyncio.TaskGroup() as group:
        waiting = group.create_task(t.awaited(session))
        await turns(20)
        async with rows.transaction(rows.clients[0]) as connection:
            await stored_within(t, broker, connection, envelope)
            await turns(20)
            t.expect.true(not waiting.done(), "nothing is there yet to be woken for")
        got = await t.soon(waiting, "the commit wakes a session that waits")
    t.expect.equal(got.envelope.id, envelope.id, "it is what was published")


@case(
    "tx.rollback-hides",
    needs=WITHIN,
    why="after a rollback none was ever there: its id is free, its dedup key, its place; no event tells of it",
)
async def _(t: Trial) -> None:
    broker, rows = await t.broker(), await rows_of(t)
    keyed: dict[str, Any] = {"dedup": Dedup("k")} if t.claims(Cap.DEDUP) else {}
    sent = [t.envelope(**keyed), t.envelope(order_by="o") if t.claims(Cap.ORDERED_KEY) else t.envelope()]
    events = [t.event(EventKind.SUBMITTED, envelope.id) for envelope in sent]
    async with rolled_back(rows, rows.clients[0]) as connection:
        await rows.add(connection, "row")
        for answer in await publish_within(t, broker, connection, *sent, events=events):
            t.expect.is_a(answer, Stored, "an envelope within the limits is Stored")
    t.expect.equal(list(await rows.seen()), [], "it was rolled back")
    await unseen(t, broker, "after the rollback", *sent)
    again = t.envelope(**keyed)
    await t.stored(broker, again)
    (answer,) = await t.publish(broker, sent[0])
    t.expect.equal(answer, Duplicate(again.id) if keyed else Stored(), "its id is free, and its key is another's now")
    await t.stored(broker, sent[1])
    await t.take(await t.session(broker), 2 if keyed else 3)


@case(
    "tx.failed-commit-hides",
    needs=WITHIN,
    why="a commit that fails, for the caller's own rows, stores no envelope either",
)
async def _(t: Trial) -> None:
    broker, rows = await t.broker(), await rows_of(t)
    sent, failed = t.envelopes(2), False
    try:
        async with rows.transaction(rows.clients[0]) as connection:
            await stored_within(t, broker, connection, *sent)
            await rows.break_rule(connection)
    except Exception as error:  # noqa: BLE001 - the client library's own
        failed = True
        t.note(f"the commit raised {type(error).__name__}")
    t.expect.true(failed, "the commit fails")
    await unseen(t, broker, "after the commit that failed", *sent)
    await t.stored(broker, *sent)


@case(
    "tx.answers-align",
    needs=WITHIN,
    why="Stored, Duplicate or Refused for each; none harms its neighbours or the transaction",
)
async def _(t: Trial) -> None:
    broker, rows = await t.broker(), await rows_of(t)
    t.needs_repeats()
    old, first, last = t.envelopes(3)
    await t.stored(broker, old)
    batch: list[tuple[Envelope, type[Published] | Published]] = [
        (first, Stored),
        (old, Duplicate(old.id)),
        (t.envelope(body=bytes(t.profile.limits.max_body + 1)), Refused),
        (first, Duplicate(first.id)),
        (t.envelope(priority=t.profile.limits.priorities[1] + 1), Refused),
    ]
    there = [old, first, last]
    if t.claims(Cap.DEDUP):
        holder, taking = t.envelope(dedup=Dedup("held")), t.envelope(dedup=Dedup("new"))
        await t.stored(broker, holder)
        there += [holder, taking]
        batch += [
            (t.envelope(dedup=Dedup("held")), Duplicate(holder.id)),
            (taking, Stored),
            (t.envelope(dedup=Dedup("new")), Duplicate(taking.id)),
        ]
    batch.append((last, Stored))
    async with rows.transaction(rows.clients[0]) as connection:
        answers = await publish_within(t, broker, connection, *(envelope for envelope, _ in batch))
        await rows.add(connection, "row")
        again = await publish_within(t, broker, connection, last)
    for answer, (_, want) in zip(answers, batch, strict=True):
        if isinstance(want, type):
            t.expect.is_a(answer, want, "each answer is that of its envelope")
        else:
            t.expect.equal(answer, want, "each answer is that of its envelope")
    t.expect.equal(list(again), [Duplicate(last.id)], "a repeat in the same transaction is Duplicate")
    t.expect.equal(list(await rows.seen()), ["row"], "the transaction went on and was committed")
    session = await t.session(broker)
    got = await t.take(session, len(there))
    t.expect.same([d.envelope.id for d in got], [e.id for e in there], "what was Stored is there, and nothing else")
    await t.nothing_now(session, because="nothing else was stored")


@case(
    "tx.repeat",
    needs=WITHIN,
    why="after the commit a repeat of the same id is Duplicate, alive or finished, within or not",
)
async def _(t: Trial) -> None:
    broker, rows = await t.broker(), await rows_of(t)
    t.needs_repeats()
    envelope = t.envelope()
    async with rows.transaction(rows.clients[0]) as connection:
        await stored_within(t, broker, connection, envelope)

    async def repeated(because: str) -> None:
        t.expect.equal(list(await t.publish(broker, envelope)), [Duplicate(envelope.id)], because)
        async with rows.transaction(rows.clients[0]) as connection:
            answers = await publish_within(t, broker, connection, envelope)
            t.expect.equal(list(answers), [Duplicate(envelope.id)], because)

    await repeated("it waits")
    session = await t.session(broker)
    delivery = await t.one(session)
    await repeated("it runs")
    await t.done(session, t.complete(delivery))
    await repeated("it is finished")
    await t.nothing(session, because="it was published once")


@case("tx.every-client", needs=WITHIN, why="a connection of each of the client libraries that the broker knows will do")
async def _(t: Trial) -> None:
    broker, rows = await t.broker(), await rows_of(t)
    t.expect.true(rows.clients, "there is a client library at least")
    session = await t.session(broker)
    for client in rows.clients:
        stays, goes = t.envelopes(2)
        async with rolled_back(rows, client) as connection:
            await rows.add(connection, f"{client}, rolled back")
            await stored_within(t, broker, connection, goes)
        async with rows.transaction(client) as connection:
            await rows.add(connection, client)
            await stored_within(t, broker, connection, stays)
            await t.nothing_now(session, because=f"{client}: before the commit nothing can be fetched")
        t.expect.equal((await t.one(session)).envelope, stays, f"{client}: after the commit it can")
        await t.nothing_now(session, because=f"{client}: what was rolled back can not")
    t.expect.equal(list(await rows.seen()), list(rows.clients), "the callers' rows")


@case(
    "tx.no-transaction",
    needs=WITHIN,
    why="InvalidOption for what is no connection this broker knows, or has no transaction open; nothing is stored",
)
async def _(t: Trial) -> None:
    broker, rows = await t.broker(), await rows_of(t)
    sent = t.envelopes(2)

    async def refused(what: object, because: str) -> None:
        await t.expect.raises(InvalidOption, broker.publish_within(what, sent), because)

    for nothing in (None, object(), "connection", 7, [], broker):
        await refused(nothing, f"{type(nothing).__name__} is no connection")
    for client in rows.clients:
        async with rows.idle(client) as connection:
            await refused(connection, f"{client}: no transaction is open on it")
    await unseen(t, broker, "what is refused is not stored", *sent)
    await t.stored(broker, *sent)


@case(
    "tx.holds-nobody-up",
    needs=WITHIN,
    why="an open transaction keeps a dedup key waiting and nothing else: others use the same queues meanwhile, new ones too",
    hint="a queue that a publish makes is to be made in a transaction of the broker's own, before the caller's sees it",
)
async def _(t: Trial) -> None:
    broker, other, rows = await t.broker(), await t.broker(), await rows_of(t)
    fields: dict[str, Any] = {"priority": t.profile.limits.priorities[1]} if t.claims(Cap.PRIORITY) else {}
    name, because = t.queue("new"), "a caller's transaction is open: nobody else waits for it"
    async with rows.transaction(rows.clients[0]) as connection:
        within, beside = t.envelope("new", **fields), t.envelope("new", **fields)
        await stored_within(t, broker, connection, within)
        session = await t.soon(t.session(other, name), because)
        await t.soon(other.declare([QueueSpec(name)]), because)
        await t.soon(t.stored(other, beside), because)
        delivery = await t.soon(t.one(session, name), because)
        t.expect.equal(delivery.envelope.id, beside.id, "what is not committed is passed over")
        follow_up = t.envelope("new", **fields)
        await t.soon(t.done(session, t.complete(delivery, emit=[follow_up])), because)
        await t.soon(t.sweep(other), because)
        t.expect.equal((await t.soon(t.one(session, name), because)).envelope.id, follow_up.id, "the queue goes on")
    t.expect.equal((await t.one(session, name)).envelope.id, within.id, "now it is committed")
