"""Transactions, as cases use them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from orcastra_conformance.engine.expect import Violation
from orcastra_conformance.engine.rows import Rows
from orcastra_conformance.engine.trial import Trial
from orcastra_core.interfaces.broker import Broker
from orcastra_core.interfaces.session import Session
from orcastra_core.interfaces.transaction import SettlingTransaction
from orcastra_core.model.delivery import Delivery
from orcastra_core.model.envelope import Envelope
from orcastra_core.model.errors import BrokerTimeout, BrokerUnavailable
from orcastra_core.model.event import EventKind
from orcastra_core.model.profile import Cap
from orcastra_core.model.published import Published, Stored
from orcastra_core.model.result import Result
from orcastra_core.model.settlement import Settled, Settlement

_REPEATS = 200


class _RollBack(Exception):  # noqa: N818 - no error
    pass


async def rows_of(t: Trial) -> Rows:
    """Return the case's rows; they end with the case."""
    return await t.mishap.enter_async_context(t.harness.rows(t.domain))


@asynccontextmanager
async def rolled_back(rows: Rows, client: str) -> AsyncIterator[Any]:
    """A connection with a transaction that is rolled back at the end."""
    try:
        async with rows.transaction(client) as connection:
            yield connection
            raise _RollBack
    except _RollBack:
        return


async def publish_within(
    t: Trial, broker: Broker, connection: Any, *envelopes: Envelope, events: Sequence[bytes] = ()
) -> Sequence[Published]:
    """Publish in a transaction; the answers, which must be as many."""
    answers = await broker.publish_within(connection, list(envelopes), events=events)
    t.note(f"publish_within {[str(envelope.id) for envelope in envelopes]} → {answers}")
    t.expect.equal(len(answers), len(envelopes), "publish_within gives one answer an envelope")
    return answers


async def stored_within(t: Trial, broker: Broker, connection: Any, *envelopes: Envelope) -> None:
    """Publish in a transaction, and demand that all are stored."""
    for answer in await publish_within(t, broker, connection, *envelopes):
        t.expect.is_a(answer, Stored, "an envelope within the limits is Stored")


async def unseen(t: Trial, broker: Broker, because: str, *envelopes: Envelope) -> None:
    """Demand that nobody can fetch, find or count them, or read of them in the event log."""
    session = await t.session(broker)
    await t.nothing(session, because=f"{because}: none can be fetched")
    await session.leave()
    if t.claims(Cap.LOOKUP):
        found = list(await broker.find([envelope.id for envelope in envelopes]))
        t.expect.equal(found, [None] * len(envelopes), f"{because}: none is found")
    if t.claims(Cap.INSPECT):
        counted = sum(depth.ready + depth.delayed for depth in await broker.inspect())
        t.expect.equal(counted, 0, f"{because}: none is counted")
    if broker.events is not None:
        told = {entry.event.task_id for entry in await broker.events.read(limit=1000)}
        t.expect.true(told.isdisjoint(envelope.id for envelope in envelopes), f"{because}: no event tells of them")


async def begun(
    t: Trial, session: Session, delivery: Delivery, rows: Rows | None = None, row: str = ""
) -> SettlingTransaction:
    """Begin a delivery's transaction; with ``rows``, write a row in it."""
    transaction = await session.transaction(delivery)
    t.note(f"a transaction for {delivery.envelope.id}")
    if rows is not None:
        await rows.add(transaction.connection, row)
    return transaction


async def ended(t: Trial, transaction: SettlingTransaction, settlement: Settlement) -> Settled:
    """Settle in a transaction, repeated for as long as what became of it is not known."""
    for _ in range(_REPEATS):
        try:
            answer = await transaction.settle(settlement)
        except (BrokerUnavailable, BrokerTimeout) as error:
            t.note(f"settle in the transaction: {type(error).__name__}")
            t.expect.true(error.retryable, "what became of the commit is not known: it is to be asked for again")
            await t.advance(t.moment)
            continue
        except Exception as error:
            t.note(f"settle in the transaction: {type(error).__name__}: {error}")
            raise
        t.note(f"settle in the transaction → {answer}")
        return answer
    raise Violation("a repeat asks the store what became of the commit; it never got to know")


async def effects(t: Trial, broker: Broker, rows: Rows, session: Session, delivery: Delivery) -> dict[str, bool]:
    """Look for each effect of a delivery's settlement, but for what it emits."""
    task_id = delivery.envelope.id
    seen = {"row": bool(await rows.seen())}
    if broker.results is not None:
        (found,) = await broker.results.get([task_id])
        seen["result"] = isinstance(found, Result)
    if broker.events is not None:
        told = [entry.event for entry in await broker.events.read(limit=1000)]
        seen["event"] = any(event.task_id == task_id and event.kind is EventKind.COMPLETED for event in told)
    seen["acknowledgement"] = delivery.receipt not in await session.held()
    t.note(f"seen: {seen}")
    return seen


async def untouched(t: Trial, broker: Broker, rows: Rows, session: Session, delivery: Delivery, because: str) -> None:
    """Demand that no effect is there and the delivery can be settled as ever; then do that, and demand that it counts."""
    seen = await effects(t, broker, rows, session, delivery)
    t.expect.equal(
        seen, dict.fromkeys(seen, False), f"{because}: nothing of it is there, and the delivery is still held"
    )
    follow_up = t.envelope("after")
    await t.done(session, t.complete(delivery, b"\x02", emit=[follow_up]))
    heir = await t.session(broker, t.queue(), t.queue("next"), t.queue("after"))
    t.expect.equal((await t.one(heir, t.queue("after"))).envelope.id, follow_up.id, f"{because}: it settles as ever")
    await t.nothing(
        heir, t.queue(), t.queue("next"), because=f"{because}: it is settled once, without the first follow-up"
    )
    t.expect.equal(list(await rows.seen()), [], f"{because}: no row")


def settlement(t: Trial, delivery: Delivery, *emit: Envelope) -> Settlement:
    """Return a completion with all that one can carry."""
    return t.complete(delivery, emit=list(emit), events=t.event(EventKind.COMPLETED, delivery.envelope.id))
