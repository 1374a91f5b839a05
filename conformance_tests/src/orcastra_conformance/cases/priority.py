"""Priority."""

from __future__ import annotations

from orcastra_conformance.engine.case import case
from orcastra_conformance.engine.trial import Trial
from orcastra_core.model.delivery import Delivery
from orcastra_core.model.profile import Cap
from orcastra_core.model.published import Refused, Stored

PRIORITY = [Cap.PRIORITY]


@case("prio.high-first", needs=PRIORITY, why="larger is served first; within a priority the order of publishing")
async def _(t: Trial) -> None:
    broker = await t.broker()
    low, high = t.profile.limits.priorities
    t.expect.true(low <= 0 <= high and low < high, "0 is among the priorities, and it is not the only one")
    levels = list(dict.fromkeys((0, high, low)))
    sent = [t.envelope(priority=level) for level in [*levels, *levels]]
    await t.stored(broker, *sent)
    session = await t.session(broker)
    got = [(await t.one(session)).envelope for _ in sent]
    wanted = sorted(sent, key=lambda envelope: -envelope.priority)
    t.expect.equal([getattr(e, "priority", None) for e in got], [e.priority for e in wanted], "highest first")
    t.in_order([e.id for e in got], [e.id for e in wanted], "oldest first within")


@case("prio.in-one-fetch", needs=PRIORITY, why="higher priorities come first within a fetch")
async def _(t: Trial) -> None:
    broker = await t.broker()
    low, high = t.profile.limits.priorities
    sent = [t.envelope(priority=level) for level in sorted({low, 0, high})]
    await t.stored(broker, *sent)
    got = [d.envelope.id for d in await t.take(await t.session(broker), len(sent))]
    t.expect.equal(got, [e.id for e in reversed(sent)], "highest first")


@case("prio.kept", needs=PRIORITY, why="a task keeps its priority through retry, release and loss")
async def _(t: Trial) -> None:
    broker = await t.broker()
    low, high = t.profile.limits.priorities
    session = await t.session(broker)

    async def held() -> list[Delivery]:  # what came first is not what is served first
        taken: list[Delivery] = []
        for envelope in (t.envelope(priority=low), t.envelope(priority=high)):
            await t.stored(broker, envelope)
            taken.append(await t.one(session))
        return taken

    plain, important = await held()
    await t.done(session, t.retry(plain), t.retry(important))
    again = await t.take(session, 2)
    wanted = [important.envelope.id, plain.envelope.id]
    t.expect.equal([d.envelope.id for d in again], wanted, "after a retry")
    await t.done(session, t.release(again[1]), t.release(again[0]))
    again = await t.take(session, 2)
    t.expect.equal([d.envelope.id for d in again], wanted, "after a release")
    await t.done(session, *(t.complete(delivery) for delivery in again))
    plain, important = await held()
    await broker.expire(session.id)
    again = await t.take(await t.session(broker), 2)
    wanted = [important.envelope.id, plain.envelope.id]
    t.expect.equal([d.envelope.id for d in again], wanted, "after its session was lost")


@case("prio.limits", needs=PRIORITY, why="a priority outside the limits is Refused, never clamped")
async def _(t: Trial) -> None:
    broker = await t.broker()
    low, high = t.profile.limits.priorities
    levels = (low - 1, low, high, high + 1)
    answers = await t.publish(broker, *(t.envelope(priority=level) for level in levels))
    t.expect.equal([type(a) for a in answers], [Refused, Stored, Stored, Refused], "the limits themselves are taken")
