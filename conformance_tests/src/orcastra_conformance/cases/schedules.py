"""Schedules."""

from __future__ import annotations

import asyncio

import attrs

from orcastra_conformance.engine.case import case
from orcastra_conformance.engine.making import TICK
from orcastra_conformance.engine.steps import cancelled_after, growing_steps
from orcastra_conformance.engine.trial import FAR, Trial
from orcastra_core.interfaces.broker import Broker
from orcastra_core.interfaces.scheduler import Scheduler
from orcastra_core.model.envelope import Envelope
from orcastra_core.model.profile import Cap
from orcastra_core.model.schedule import Fired, Firing, Misfire, Schedule, ScheduleId

SCHEDULES = [Cap.SCHEDULES]
EVERY = "interval:60"


def _of(t: Trial, broker: Broker) -> Scheduler:
    return t.expect.found(broker.scheduler, "SCHEDULES is claimed: the sub-service is there")


@case("sch.once-of-five", needs=SCHEDULES, why="any number may promote at once; a tick is fired once")
async def _(t: Trial) -> None:
    brokers = [await t.broker() for _ in range(5)]
    due = t.now() - 1
    await _of(t, brokers[0]).add([t.schedule(f"s{n}", due, trigger=EVERY) for n in range(4)])
    for _ in range(2):
        async with asyncio.TaskGroup() as group:
            promotes = [group.create_task(t.promote(broker)) for broker in brokers]
        t.expect.true(all(p.result().done <= 4 for p in promotes), "promote counts what it fired")
    session = await t.session(brokers[0])
    await t.take(session, 4)
    await t.nothing(session, because="four schedules, one tick each")
    for schedule in await _of(t, brokers[1]).page():
        t.expect.true(schedule.due > t.now(), "each waits for its next tick")


@case(
    "sch.fires-once",
    needs=SCHEDULES,
    why="a schedule without a trigger fires once, under its envelope's own id, and is gone",
)
async def _(t: Trial) -> None:
    broker = await t.broker()
    scheduler = _of(t, broker)
    soon, far = t.schedule("soon", t.now() + 2 * t.moment), t.schedule("far", t.now() + FAR)
    await scheduler.add([far, soon])
    next_in = t.expect.found(await scheduler.next_in(), "something waits")
    t.expect.true(0 <= next_in <= 2 * t.moment, f"the sooner one is next: {next_in}")
    t.expect.equal((await t.promote(broker)).done, 0, "nothing is due yet")
    await t.advance(3 * t.moment)
    promotion = await t.promote(broker)
    t.expect.equal(promotion.done, 1, "one was due")
    next_in = t.expect.found(promotion.next_in, "the other waits")
    t.expect.true(FAR / 2 < next_in <= FAR, f"in an hour: {next_in}")
    session = await t.session(broker)
    t.expect.equal((await t.one(session)).envelope.id, soon.envelope.id, "the envelope as it was deferred")
    t.expect.equal(list(await scheduler.get([soon.id])), [None], "it is gone")


@case("sch.idempotent-add", needs=SCHEDULES, why="adding an unchanged recurring schedule again keeps its stored due")
async def _(t: Trial) -> None:
    broker = await t.broker()
    scheduler = _of(t, broker)
    first = t.schedule("s", t.now() + FAR, trigger=EVERY)
    await scheduler.add([first])
    fresh = attrs.evolve(first.envelope, id=t.id(), submitted_at=t.now())
    await scheduler.add([attrs.evolve(first, due=t.now() + 5 * FAR, envelope=fresh)])
    (stored,) = await scheduler.get([first.id])
    t.expect.equal(t.expect.found(stored, "it is there").due, first.due, "no tick was moved")
    changed = attrs.evolve(first, due=t.now() + 7 * FAR, trigger="interval:90")
    await scheduler.add([changed])
    (stored,) = await scheduler.get([first.id])
    t.expect.equal(t.expect.found(stored, "it is there").due, changed.due, "a changed trigger replaces it")
    other = attrs.evolve(changed, due=t.now() + 9 * FAR, envelope=t.envelope(body=b"\x81\x01"))
    await scheduler.add([other])
    (stored,) = await scheduler.get([first.id])
    found = t.expect.found(stored, "it is there")
    t.expect.equal((found.due, found.envelope.body), (other.due, b"\x81\x01"), "so do changed arguments")
    t.expect.equal(len(await scheduler.page()), 1, "it is one schedule")


@case("sch.compare-and-set", needs=SCHEDULES, why="settle has no effect if `due` is another now")
async def _(t: Trial) -> None:
    scheduler = _of(t, await t.broker())
    due = t.now() - 1
    await scheduler.add([t.schedule("a", due, trigger=EVERY), t.schedule("b", due, trigger=EVERY)])
    a, b = ScheduleId("a"), ScheduleId("b")
    answers = await scheduler.settle(
        [Fired(a, due - 5, due + 60), Fired(b, due, due + 60), Fired(ScheduleId("c"), due, None)]
    )
    t.expect.equal(list(answers), [False, True, False], "only where the due was the expected one")
    t.expect.equal(list(await scheduler.settle([Fired(b, due, due + 90)])), [False], "it has moved on")
    stored = [t.expect.found(s, "it is there").due for s in await scheduler.get([a, b])]
    t.expect.equal(stored, [due, due + 60], "a has not moved, b once")
    t.expect.equal(list(await scheduler.settle([Fired(a, due, None)])), [True], "None removes")
    t.expect.equal(list(await scheduler.get([a])), [None], "it is gone")


@case("sch.claim", needs=SCHEDULES, why="claim takes what is due, earliest first, exclusively until its lease ends")
async def _(t: Trial) -> None:
    one, other = _of(t, await t.broker()), _of(t, await t.broker())
    base = t.now() - 100
    await one.add(
        [t.schedule(f"s{n}", base + n, trigger=EVERY) for n in (3, 1, 2)] + [t.schedule("far", t.now() + FAR)]
    )
    now, first = await one.claim(limit=2, lease=FAR)
    t.expect.true(abs(now - t.now()) < 5, "it says the store's now")
    t.expect.equal([s.id for s in first], ["s1", "s2"], "earliest first, no more than the limit")
    _, second = await other.claim(limit=9, lease=2 * t.moment)
    t.expect.equal([s.id for s in second], ["s3"], "what another has claimed is left alone, and what is not due")
    await t.advance(3 * t.moment)
    _, third = await one.claim(limit=9, lease=FAR)
    t.expect.equal([s.id for s in third], ["s3"], "a claim ends with its lease")
    await one.settle([Fired(first[0].id, first[0].due, base + 50)])
    _, fourth = await other.claim(limit=9, lease=FAR)
    t.expect.equal([s.id for s in fourth], ["s1"], "settling ends the claim")


@case(
    "sch.page-and-remove",
    needs=SCHEDULES,
    why="page in order of ids; remove says what existed, and what is removed never fires",
)
async def _(t: Trial) -> None:
    broker = await t.broker()
    scheduler = _of(t, broker)
    due = t.now() - 1
    await scheduler.add([t.schedule(name, due, trigger=EVERY) for name in ("c", "a", "b", "d")])
    page = await scheduler.page(limit=3)
    t.expect.equal([s.id for s in page], ["a", "b", "c"], "the first three")
    t.expect.equal([s.id for s in await scheduler.page(after=page[-1].id)], ["d"], "the rest")
    ids = [ScheduleId(name) for name in ("a", "x", "b", "c")]
    t.expect.equal(list(await scheduler.remove(ids)), [True, False, True, True], "x did not exist")
    await t.promote(broker)
    session = await t.session(broker)
    await t.one(session)
    await t.nothing(session, because="only d was left to fire")


@case("sch.stored-whole", needs=SCHEDULES, why="schedules are returned as stored")
async def _(t: Trial) -> None:
    broker = await t.broker()
    envelope = t.envelope(body=bytes(range(256)), headers={"x-test-a": 1}, timeout=3.5)
    sent = t.schedule("s:ü/1", t.now() + FAR, trigger=EVERY, envelope=envelope, misfire=Misfire.ALL, grace=7.5)
    await _of(t, broker).add([sent])
    (got,) = await _of(t, await t.broker()).get([sent.id])
    found = t.expect.found(got, "it is there")
    t.expect.equal(attrs.evolve(found, envelope=envelope), sent, "its fields")
    t.expect.equal(
        (found.envelope.body, dict(found.envelope.headers)), (envelope.body, {"x-test-a": 1}), "its envelope"
    )


@case("sch.paused", needs=SCHEDULES, why="a paused schedule is left alone")
async def _(t: Trial) -> None:
    broker = await t.broker()
    scheduler = _of(t, broker)
    schedule = t.schedule("s", t.now() - 1, trigger=EVERY, paused=True)
    await scheduler.add([schedule])
    t.expect.equal((await t.promote(broker)).done, 0, "it is paused")
    t.expect.equal(await scheduler.next_in(), None, "nothing waits")
    await scheduler.add([attrs.evolve(schedule, paused=False)])
    t.expect.equal((await t.promote(broker)).done, 1, "it goes on")


@case(
    "sch.promote-atomic",
    needs=[Cap.SCHEDULES],
    slow=True,
    why="a promote that is cut short and done again publishes every tick once",
)
async def _(t: Trial) -> None:
    broker = await t.broker()
    scheduler = _of(t, broker)
    session = await t.session(broker)
    for number, steps in enumerate(growing_steps(2000)):
        name = f"s{number}"
        await scheduler.add([t.schedule(name, t.now() - 1, trigger=EVERY)])
        cut = await cancelled_after(steps, scheduler.promote(broker, limit=10, plan=t.plan))
        if not cut.finished:
            await t.promote(broker)
        (stored,) = await scheduler.get([ScheduleId(name)])
        if t.expect.found(stored, "it recurs").due <= t.now():
            raise t.fail(f"cancelled after {steps} steps, the tick was neither fired nor left to be fired")
        await t.done(session, t.complete(await t.one(session)))
        await t.nothing_now(session, because=f"cancelled after {steps} steps: once")
        if cut.finished:
            break


@case(
    "sch.misfire-is-the-plans",
    needs=SCHEDULES,
    why="what is published for missed ticks is the plan's to say, by the store's now and the stored due",
)
async def _(t: Trial) -> None:
    broker = await t.broker()
    scheduler = _of(t, broker)
    due = t.now() - 10 * TICK
    await scheduler.add([t.schedule("s", due, trigger=EVERY)])
    asked: list[tuple[float, float]] = []
    ticks = t.envelopes(3)

    def three(schedule: Schedule, now: float) -> Firing:
        asked.append((schedule.due, now))
        return Firing([*ticks], due + 3 * TICK)

    promotion = await scheduler.promote(broker, limit=10, plan=three)
    t.expect.equal(asked[0][0], due, "the plan gets the stored due")
    t.expect.true(abs(asked[0][1] - t.now()) < 5, "and the store's now")
    t.expect.equal(promotion.done, 3, "three were published")
    t.expect.equal(promotion.next_in, 0.0, "more is due already")
    taken = await t.take(await t.session(broker), 3)
    t.in_order([d.envelope.id for d in taken], [e.id for e in ticks], "in the plan's order")
    t.expect.true(all(isinstance(d.envelope, Envelope) for d in taken), "readable")
