"""Priority."""

from __future__ import annotations

from orcastra_conformance.engine.case import case
from orcastra_conformance.engine.trial import Trial
from orcastra_core.model.profile import Cap
from orcastra_core.model.published import Refused, Stored

PRIORITY = [Cap.PRIORITY]


@case("prio.high-first", needs=PRIORITY, why="larger is served first; within a priority the order of publishing")
async def _(t: Trial) -> None:
    broker = await t.broker()
    low, high = t.profile.limits.priorities
    t.expect.true(low <= 0 <= high and low < high, "0 is among the priorities, and it is not the only one")
    levels = [0, high, low, 0, high, low]
    sent = [t.envelope(priority=level) for level in levels]
    await t.stored(broker, *sent)
    session = await t.session(broker)
    got = [(await t.one(session)).envelope.id for _ in sent]
    wanted = [sent[n].id for n in (1, 4, 0, 3, 2, 5)]
    t.expect.equal(got, wanted, "highest first, oldest first within")


@case("prio.in-one-fetch", needs=PRIORITY, why="higher priorities come first within a fetch")
async def _(t: Trial) -> None:
    broker = await t.broker()
    low, high = t.profile.limits.priorities
    sent = [t.envelope(priority=level) for level in (low, 0, high)]
    await t.stored(broker, *sent)
    got = [d.envelope.id for d in await t.take(await t.session(broker), 3)]
    t.expect.equal(got, [e.id for e in reversed(sent)], "highest first")


@case("prio.kept", needs=PRIORITY, why="a task keeps its priority through retry, release and loss")
async def _(t: Trial) -> None:
    broker = await t.broker()
    _, high = t.profile.limits.priorities
    important, plain = t.envelope(priority=high), t.envelope()
    session, (first, second) = await t.running(broker, important, plain)
    await t.done(session, t.retry(first), t.retry(second))
    first = await t.one(session)
    t.expect.equal(first.envelope.id, important.id, "after a retry")
    await t.done(session, t.release(first))
    t.expect.equal((await t.one(session)).envelope.id, important.id, "after a release")
    await broker.expire(session.id)
    t.expect.equal((await t.one(await t.session(broker))).envelope.id, important.id, "after its session was lost")


@case("prio.limits", needs=PRIORITY, why="a priority outside the limits is Refused, never clamped")
async def _(t: Trial) -> None:
    broker = await t.broker()
    low, high = t.profile.limits.priorities
    levels = (low - 1, low, high, high + 1)
    answers = await t.publish(broker, *(t.envelope(priority=level) for level in levels))
    t.expect.equal([type(a) for a in answers], [Refused, Stored, Stored, Refused], "the limits themselves are taken")
