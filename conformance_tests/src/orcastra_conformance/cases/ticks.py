"""Schedules through their life: changed, fired by who dies, missed, and when the clocks change."""

from __future__ import annotations

from datetime import UTC, datetime

import attrs

from orcastra_conformance.engine.case import case
from orcastra_conformance.engine.trial import FAR, Trial
from orcastra_core.interfaces.broker import Broker
from orcastra_core.interfaces.scheduler import Scheduler
from orcastra_core.model.envelope import Envelope
from orcastra_core.model.profile import Cap
from orcastra_core.model.schedule import Fired, Misfire, ScheduleId
from orcastra_core.plugins import parse_trigger
from orcastra_core.runtime.plan import make_plan

SCHEDULES = [Cap.SCHEDULES]
EVERY = "interval:60"
PLAN = make_plan(parse_trigger)
"""The runtime's own."""


def _of(t: Trial, broker: Broker) -> Scheduler:
    return t.expect.found(broker.scheduler, "SCHEDULES is claimed: the sub-service is there")


@case("sch.update-and-delete", needs=SCHEDULES, why="a change or removal is in force before the next tick")
async def _(t: Trial) -> None:
    broker, other = await t.broker(), await t.broker()
    scheduler = _of(t, broker)
    soon = t.now() + 2 * t.moment
    names = ("later", "sooner", "other", "gone", "taken")
    later, sooner, others, gone, taken = (
        t.schedule(name, t.now() + FAR if name == "sooner" else soon, trigger=EVERY) for name in names
    )
    await scheduler.add([later, sooner, others, gone, taken])
    new = t.envelope(body=b"\x81\x02")
    await _of(t, other).add(
        [
            attrs.evolve(later, due=t.now() + FAR, trigger="interval:90"),
            attrs.evolve(sooner, due=soon, trigger="interval:90"),
            attrs.evolve(others, due=soon, envelope=new),
        ]
    )
    t.expect.equal(list(await _of(t, other).remove([gone.id])), [True], "it was there")
    await t.advance(3 * t.moment)
    _, claimed = await scheduler.claim(limit=10, lease=FAR)
    t.expect.same([s.id for s in claimed], ["other", "sooner", "taken"], "what is due by what is in force")
    # one claims, another changes the schedule, the first one fires: the change stands
    await _of(t, other).add([attrs.evolve(taken, due=t.now() + FAR, trigger="interval:90")])
    answers = await scheduler.settle([Fired(s.id, s.due, s.due + 60.0) for s in claimed])
    moved = dict(zip([s.id for s in claimed], answers, strict=True))
    t.expect.equal(moved, {"other": True, "sooner": True, "taken": False}, "the tick that was changed has not moved")
    (stored,) = await scheduler.get([taken.id])
    t.expect.equal(t.expect.found(stored, "it is there").trigger, "interval:90", "the change stands")
    (stored,) = await scheduler.get([others.id])
    t.expect.equal(t.expect.found(stored, "it is there").envelope.body, b"\x81\x02", "and the new arguments are used")


@case(
    "sch.crash-mid-fire",
    needs=SCHEDULES,
    why="who claims a tick and dies before it settles has fired it or not: after its claim it is fired, once",
)
async def _(t: Trial) -> None:
    t.needs_repeats()
    dying, broker = await t.broker(), await t.broker()
    scheduler = _of(t, dying)
    due = t.now() - 1
    await scheduler.add([t.schedule("published", due, trigger=EVERY), t.schedule("claimed", due, trigger=EVERY)])
    now, claimed = await scheduler.claim(limit=10, lease=2 * t.moment)
    t.expect.equal(len(claimed), 2, "both were due")
    fired = {schedule.id: t.plan(schedule, now).publish for schedule in claimed}
    await t.stored(dying, *fired[ScheduleId("published")])
    await dying.close()
    done = (await t.promote(broker)).done
    if t.now() < now + 2 * t.moment:
        t.expect.equal(done, 0, "nobody else fires while the claim lasts")
    await t.advance(3 * t.moment)
    await t.promote(broker)
    await t.promote(broker)
    session = await t.session(broker)
    got = [d.envelope.id for d in await t.take(session, 2)]
    wanted = [envelope.id for envelopes in fired.values() for envelope in envelopes]
    t.expect.same(got, wanted, "one firing each: the ids follow from schedule and tick")
    await t.nothing(session, because="the tick that was published before is not published again")
    for schedule in await _of(t, broker).page():
        t.expect.true(schedule.due > t.now(), "both wait for their next tick")


@case("sch.misfire", needs=SCHEDULES, why="missed ticks by the schedule's policy: SKIP none, ONE one for all, ALL each")
async def _(t: Trial) -> None:
    broker = await t.broker()
    scheduler = _of(t, broker)
    first = float(int(t.now())) - 630.0  # eleven ticks, the last one half a minute ago
    trigger = f"interval:60 {datetime.fromtimestamp(first, UTC).isoformat()}"
    policies = {"skip": Misfire.SKIP, "one": Misfire.ONE, "all": Misfire.ALL}
    await scheduler.add(
        [
            t.schedule(name, first, trigger=trigger, envelope=t.envelope(name), misfire=policy, grace=5.0)
            for name, policy in policies.items()
        ]
        + [t.schedule("late", first, trigger=trigger, envelope=t.envelope("late"), misfire=Misfire.SKIP, grace=50.0)]
    )
    promotion = await scheduler.promote(broker, limit=10, plan=PLAN)
    t.expect.equal(promotion.done, 13, "none, one, eleven, and the one that is within its grace")
    session = await t.session(broker, *(t.queue(name) for name in (*policies, "late")))
    ticks = [first + 60.0 * number for number in range(11)]
    owed = {"skip": [], "one": ticks[:1], "all": ticks, "late": ticks[-1:]}
    for name, wanted in owed.items():
        taken = await t.take(session, len(wanted), t.queue(name))
        t.in_order(
            [f"{_tick(t, d.envelope):.0f}" for d in taken], [f"{tick:.0f}" for tick in wanted], f"{name}: oldest first"
        )
        t.expect.equal(len({d.envelope.id for d in taken}), len(wanted), f"{name}: each under an id of its own")
        await t.nothing_now(session, t.queue(name), because=f"{name}: no more than that")
    for schedule in await scheduler.page():
        t.expect.equal(schedule.due, first + 660.0, f"{schedule.id}: the next tick")


def _tick(t: Trial, envelope: object) -> float:
    """Return the tick for which the runtime's plan made an envelope."""
    moment = t.expect.is_a(envelope, Envelope, "readable").submitted_at
    return t.expect.found(moment, "a firing says its tick")


@case(
    "sch.dst-gap-and-fold",
    needs=SCHEDULES,
    why="a schedule keeps to the wall clock of its zone: a tick in the hour that is skipped comes right after it, one in the hour that comes twice comes once",
)
async def _(t: Trial) -> None:
    broker = await t.broker()
    scheduler = _of(t, broker)
    days = {
        # Berlin skips 02:00 to 03:00 on 31 March 2024, and has it twice on 27 October
        "gap": ["2024-03-30T01:30", "2024-03-31T01:00", "2024-04-01T00:30", "2024-04-02T00:30"],
        "fold": ["2024-10-26T00:30", "2024-10-27T00:30", "2024-10-28T01:30", "2024-10-29T01:30"],
    }
    ticks = {
        name: [datetime.fromisoformat(f"{moment}:00+00:00").timestamp() for moment in moments]
        for name, moments in days.items()
    }
    for name, moments in ticks.items():
        every_night = t.schedule(
            name,
            moments[0],
            trigger="cron:30 2 * * * Europe/Berlin",
            envelope=t.envelope(name),
            misfire=Misfire.ALL,
        )
        await scheduler.add([every_night])
    await scheduler.promote(broker, limit=2, plan=PLAN)
    session = await t.session(broker, *(t.queue(name) for name in ticks))
    for name, moments in ticks.items():
        # where order is not claimed any of the hundred that a round catches up with may come first
        number = len(moments) if t.claims(Cap.ORDERED_QUEUE) else 100
        taken = sorted(_tick(t, d.envelope) for d in await t.take(session, number, t.queue(name)))
        got = [datetime.fromtimestamp(tick, UTC).isoformat()[:16] for tick in taken[: len(moments)]]
        t.expect.equal(got, days[name], f"{name}: half past two in Berlin, in UTC")
