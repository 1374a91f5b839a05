"""A settle in a transaction cut at every write of it: with the task's rows, or not at all."""

from __future__ import annotations

from functools import partial

from orcastra_conformance.engine.case import case
from orcastra_conformance.engine.rows import Rows
from orcastra_conformance.engine.transacting import begun, effects, ended, rows_of
from orcastra_conformance.engine.trial import Trial
from orcastra_conformance.faults.patience import BUDGET, CUTS, again, bounded, mark, tried, went_by
from orcastra_conformance.faults.patient import Patient
from orcastra_conformance.faults.proxy import proxied
from orcastra_conformance.faults.valve import Way
from orcastra_core.interfaces.broker import Broker
from orcastra_core.interfaces.session import Session
from orcastra_core.interfaces.transaction import SettlingTransaction
from orcastra_core.model.delivery import Delivery
from orcastra_core.model.errors import TransactionRolledBack
from orcastra_core.model.event import EventKind
from orcastra_core.model.profile import Cap
from orcastra_core.model.settlement import Done, Settled, Settlement


async def _answer(t: Trial, transaction: SettlingTransaction, item: Settlement, *, once: bool) -> Settled | str | None:
    """Settle: what it answered, or that it was rolled back; None where nobody knows yet."""

    async def settle() -> Settled | str:
        try:
            return await (transaction.settle(item) if once else ended(t, transaction, item))
        except TransactionRolledBack as error:
            t.expect.true(error.retryable, "that was none of the task's doing: retryable")
            return "rolled back"

    if once:
        return await tried(t, settle(), "settle in a transaction")
    return await bounded(t, settle(), "a repeat finds out what became of the commit")


async def _seen(t: Trial, direct: Broker, rows: Rows, session: Session, delivery: Delivery) -> bool:
    """Demand all or none of what a settlement does, and return which."""
    seen = await effects(t, direct, rows, session, delivery)
    seen["row"] = delivery.envelope.id in await rows.seen()
    t.expect.equal(len(set(seen.values())), 1, f"all of it is there, or none: {seen}")
    return seen["row"]


@case(
    "tx.settle-lost-reply",
    needs=[Cap.TX_COMPLETE, Cap.STABLE_SESSION, Cap.FENCED],
    budget=BUDGET,
    why="the connection cut at every write of a settle: the rows and the settlement are there together or not at all;"
    " a repeat asks the store what became of the commit, and answers or raises as the first should have",
    hint="ask on another connection whether that transaction was committed, and wait until it can be told",
)
async def _(t: Trial) -> None:
    direct, rows = await t.broker(), await rows_of(t)
    broker, proxy = await proxied(t)
    session, heir = await t.session(broker), await t.session(direct, t.queue("next"))
    patient = Patient(t, session)
    wanted: list[str] = []
    for at, part in CUTS:
        await t.stored(direct, t.envelope())
        delivery = await t.one(patient)
        follow_up, value, task_id = t.envelope("next"), mark(t), delivery.envelope.id
        transaction = await again(t, partial(begun, t, session, delivery, rows, task_id), "transaction")
        event = t.event(EventKind.COMPLETED, task_id)
        item = t.complete(delivery, value, emit=[follow_up], events=event)
        trap = proxy.trap(value, Way.UP, at=at, part=part)
        first = await _answer(t, transaction, item, once=True)
        went_by(t, trap)
        proxy.heal()
        second = await _answer(t, transaction, item, once=False)
        t.expect.true(
            first is None or first == second, f"a repeat answers as the first call did: {first}, then {second}"
        )
        committed = await _seen(t, direct, rows, patient, delivery)
        if committed:
            t.expect.is_a(second, Done, "what took effect is Done")
            wanted.append(task_id)
        else:
            t.expect.equal(second, "rolled back", "what did not take effect was rolled back")
            await t.done(patient, item)
        t.expect.equal(list(await rows.seen()), wanted, "the rows of what was committed, each once")
        t.expect.equal((await t.one(heir, t.queue("next"))).envelope.id, follow_up.id, "the follow-up is there")
        await t.nothing_now(heir, t.queue("next"), because="once")
        if direct.events is not None:
            told = [entry for entry in await direct.events.read(limit=1000) if entry.event.task_id == task_id]
            t.expect.equal(len(told), 1, "and one event")
        if not trap.sprung.is_set():
            return
