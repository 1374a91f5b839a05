"""A server that nobody can reach: typed errors, and no end that depends on it."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable
from functools import partial

from orcastra_conformance.engine.case import case
from orcastra_conformance.engine.expect import Violation
from orcastra_conformance.engine.tiers import Tier
from orcastra_conformance.engine.trial import FAR, Trial
from orcastra_conformance.faults.patience import (
    BUDGET,
    bounded,
    known,
    tried,
    typed,
)
from orcastra_conformance.faults.proxy import Proxy, before, proxied
from orcastra_core.interfaces.broker import Broker
from orcastra_core.interfaces.session import Session
from orcastra_core.model.delivery import Delivery, Want
from orcastra_core.model.errors import BrokerClosed, BrokerUnavailable
from orcastra_core.model.profile import Cap
from orcastra_core.model.queue import QueueSpec
from orcastra_core.model.session import Swept
from orcastra_core.model.settlement import STALE

LOCAL = ("declare", "sweep", "expire", "fetch", "held")
"""What may be answered without the store, where the answer is that nothing was done or found."""


def _calls(
    t: Trial, broker: Broker, session: Session, delivery: Delivery
) -> dict[str, Callable[[], Awaitable[object]]]:
    """Return a call of every method that goes to the store."""
    want = Want(1, [(t.queue(), 1)])
    calls: dict[str, Callable[[], Awaitable[object]]] = {
        "declare": lambda: broker.declare([QueueSpec(t.queue())]),
        "open_session": lambda: broker.open_session([t.queue()], lease=t.lease),
        "sweep": lambda: broker.sweep(limit=10),
        "fetch": lambda: session.fetch(want, wait=0),
        "settle": lambda: session.settle([t.complete(delivery)], number=99),
        "held": session.held,
    }
    if t.claims(Cap.CANCEL):
        calls["cancel"] = lambda: broker.cancel([t.cancellation(t.id())])
    if t.claims(Cap.LOOKUP):
        calls["find"] = lambda: broker.find([t.id()])
    if t.claims(Cap.INSPECT):
        calls["inspect"] = broker.inspect
    if t.claims(Cap.PAUSE):
        calls["resume"] = lambda: broker.resume([t.queue()])
    if t.claims(Cap.PURGE):
        calls["purge"] = lambda: broker.purge(t.queue("other"))
    if (results := broker.results) is not None:
        calls["results.get"] = lambda: results.get([t.id()])
        calls["results.subscribe"] = results.subscribe
    if (letters := broker.dead_letters) is not None:
        calls["dead_letters.page"] = letters.page
    if (events := broker.events) is not None:
        calls["events.read"] = events.read
    if t.claims(Cap.SCHEDULES) and (scheduler := broker.scheduler) is not None:
        calls["scheduler.page"] = scheduler.page
        calls["scheduler.promote"] = partial(scheduler.promote, broker, limit=10, plan=t.plan)
    calls["expire"] = lambda: broker.expire(session.id)  # at last: it may end what is at hand
    return calls


@case(
    "hon.typed-errors-on-the-wire",
    tier=Tier.RESILIENT,
    budget=BUDGET,
    why="only errors of orcastra_core.model.errors leave a method, translated at one edge, __cause__ and retryable set",
    hint="wrap every call into the client library at one place; the message names the method that leaks",
)
async def _(t: Trial) -> None:
    broker, proxy = await proxied(t)
    session, (delivery,) = await t.running(broker, t.envelope())
    calls = _calls(t, broker, session, delivery)
    proxy.refuse()
    for name, call in calls.items():
        answer: object = None
        error: Exception | None = None
        try:
            answer = await bounded(t, call(), f"{name} raises BrokerUnavailable where nobody answers")
        except Violation:
            raise
        except Exception as raised:  # noqa: BLE001 - it is judged
            error = raised
        if error is not None:
            typed(t, error, name)
        else:
            t.note(f"{name} → {answer}")
            nothing = not (answer.sessions or answer.lost) if isinstance(answer, Swept) else not answer
            local = name in LOCAL
            if name == "settle" and not t.claims(Cap.STABLE_SESSION):  # its session was lost with the connection
                local, nothing = True, answer in ([STALE], (STALE,))
            t.expect.true(local and nothing, f"{name} cannot have worked: nobody was there to answer")
    envelope = t.envelope()
    answers = await bounded(t, t.publish(broker, envelope), "publish is Unknown where nobody answers")
    t.expect.equal(known(t, answers, [envelope]), [], "publish is Unknown where nobody answers")


@case(
    "life.unreachable",
    tier=Tier.RESILIENT,
    budget=BUDGET,
    why="open raises BrokerUnavailable within limits.connect_timeout seconds, where nobody listens and where somebody"
    " listens and says nothing; close works all the same; and open works once the server is there",
)
async def _(t: Trial) -> None:
    proxy = await t.mishap.enter_async_context(before(t.harness.address()))
    within = t.profile.limits.connect_timeout * 1.5 + t.harness.soon

    async def unreachable(broker: Broker, where: str) -> None:
        ends = asyncio.timeout(within)
        try:
            async with ends:
                error = await t.expect.raises(BrokerUnavailable, broker.open(), f"open {where}")
        except TimeoutError:
            if not ends.expired():
                raise
            raise t.fail(f"open {where} gives up within connect_timeout; it hung for {within:g} s") from None
        typed(t, error, f"open {where}")
        await t.expect.raises(BrokerClosed, broker.publish([t.envelope()]), "it is not open")
        await bounded(t, broker.close(), "close of what never opened")

    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))  # and never listens
        nobody = bound.getsockname()
        await unreachable(t.harness.dial(t.harness.url(t.domain, at=nobody)), "where nobody listens")
    broker = t.harness.dial(t.harness.url(t.domain, at=proxy.address))
    proxy.swallow()
    await unreachable(broker, "where nobody says anything")
    proxy.heal()
    await t.adopt(broker)
    await t.stored(broker, t.envelope())


@case(
    "fault.close-while-unreachable",
    budget=BUDGET,
    why="leave and close do not fail and do not hang because the server is gone; whoever waits is freed",
    hint="let go of what is local, whatever the server says, or does not say",
)
async def _(t: Trial) -> None:
    for fault in (Proxy.refuse, Proxy.swallow):
        broker, proxy = await proxied(t)
        session, other = await t.session(broker), await t.session(broker)
        feed = await broker.results.subscribe() if broker.results is not None else None
        want = Want(1, [(t.queue(), 1)])
        async with asyncio.TaskGroup() as group:
            group.create_task(tried(t, _until_closed(other.fetch(want, wait=FAR)), "a fetch that waits"))
            await t.advance(t.moment)
            fault(proxy)
            await bounded(t, session.leave(), "leave does not hang because the server is gone")
            if feed is not None:
                await bounded(t, feed.close(), "a feed's close does not hang because the server is gone")
            await bounded(t, broker.close(), "close does not hang because the server is gone")
        await t.expect.raises(BrokerClosed, other.fetch(want, wait=0), "it is closed")
        await bounded(t, broker.close(), "close is idempotent")
        proxy.heal()
        await bounded(t, t.adopt(broker), "a closed broker may be opened again")
        await t.stored(broker, t.envelope("again"))


async def _until_closed(call: Awaitable[object]) -> None:
    try:
        await call
    except BrokerClosed:
        pass
