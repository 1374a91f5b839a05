"""The event log."""

from __future__ import annotations

from orcastra_conformance.engine.case import case
from orcastra_conformance.engine.trial import Trial
from orcastra_core.interfaces.broker import Broker
from orcastra_core.interfaces.events import EventLog
from orcastra_core.model.event import EventKind, LogEntry
from orcastra_core.model.profile import Cap

EVENTS = [Cap.EVENTS]


def _log(t: Trial, broker: Broker) -> EventLog:
    return t.expect.found(broker.events, "EVENTS is claimed: the sub-service is there")


async def _all(t: Trial, log: EventLog, limit: int) -> list[LogEntry]:
    entries: list[LogEntry] = []
    after = None
    while page := await log.read(after=after, limit=limit):
        t.expect.true(len(page) <= limit, "no more than the limit")
        entries += page
        t.expect.true(len(entries) < 1000, "reading on from the last cursor comes to an end")
        after = page[-1].cursor
    return entries


@case(
    "evt.order",
    needs=EVENTS,
    why="entries come in the log's order; a cursor goes on behind its entry, within one settlement's too",
)
async def _(t: Trial) -> None:
    broker, other = await t.broker(), await t.broker()
    log = _log(t, broker)
    t.expect.equal(list(await log.read()), [], "a fresh log is empty")
    await log.append([t.event(EventKind.WORKER_JOINED, n=0), t.event(EventKind.WORKER_JOINED, n=1)])
    sent = t.envelope()
    await broker.publish([sent], events=[t.event(EventKind.SUBMITTED, sent.id, n=2)])
    session = await t.session(broker)
    delivery = await t.one(session)
    both = t.event(EventKind.STARTED, sent.id, n=3) + t.event(EventKind.COMPLETED, sent.id, n=4)
    await t.done(session, t.complete(delivery, events=both))
    await log.append([t.event(EventKind.WORKER_LEFT, n=5)])
    entries: list[LogEntry] = []
    for limit in (1, 2, 3, 100):
        entries = await _all(t, _log(t, other), limit)
        t.expect.equal(
            [e.event.detail["n"] for e in entries], list(range(6)), f"each once, in order, {limit} at a time"
        )
    t.expect.equal(len({e.cursor for e in entries}), 6, "each has a cursor of its own")
    t.expect.equal(entries[2].event.task_id, sent.id, "they are read as they were written")


@case("evt.with-stored", needs=EVENTS, why="publish appends the event of each envelope that is Stored, and of no other")
async def _(t: Trial) -> None:
    broker = await t.broker()
    a, b = t.envelopes(2)
    big = t.envelope(body=bytes(t.profile.limits.max_body + 1))
    batch = [a, big, a, b] if t.profile.limits.publish_window else [a, big, b]
    await t.publish(broker, *batch, events=[t.event(EventKind.SUBMITTED, e.id, n=n) for n, e in enumerate(batch)])
    told = [e.event.detail["n"] for e in await _log(t, broker).read()]
    t.expect.equal(told, [0, len(batch) - 1], "the first and the last were Stored")


@case(
    "evt.lost",
    needs=EVENTS,
    why="a reap appends a LOST event for each delivery, and that is the only kind a backend makes",
)
async def _(t: Trial) -> None:
    broker = await t.broker()
    session, taken = await t.running(broker, *t.envelopes(2))
    await broker.expire(session.id)
    entries = await _log(t, broker).read()
    t.expect.equal([e.event.kind for e in entries], [EventKind.LOST, EventKind.LOST], "nothing else happened")
    t.expect.same([e.event.task_id for e in entries], [d.envelope.id for d in taken], "one for each")
    t.expect.equal({e.event.session for e in entries}, {session.id}, "with the session that had it")
    t.expect.true(all(abs(e.event.at - t.now()) < 60 for e in entries), "and the moment")


@case("evt.trim", needs=EVENTS, why="trim drops the oldest entries but about `keep`")
async def _(t: Trial) -> None:
    log = _log(t, await t.broker())
    for n in range(40):
        await log.append([t.event(EventKind.WORKER_JOINED, n=n)])
    (first,) = await log.read(limit=1)
    dropped = await log.trim(keep=10)
    left = [e.event.detail["n"] for e in await log.read()]
    t.expect.equal(left, list(range(40 - len(left), 40)), "the newest are left")
    t.expect.true(10 <= len(left) < 40, f"about 10: {len(left)}")
    t.expect.equal(dropped, 40 - len(left), "it says how many went")
    behind = [e.event.detail["n"] for e in await log.read(after=first.cursor)]
    t.expect.equal(behind, left, "a cursor whose entry is gone goes on with what is left")


@case(
    "evt.with-settle",
    needs=[Cap.EVENTS, Cap.ATOMIC_SETTLE],
    why="every kind of settlement appends its events with its effect",
)
async def _(t: Trial) -> None:
    broker = await t.broker()
    session, (a, b, c) = await t.running(broker, *t.envelopes(3))
    await t.done(
        session,
        t.complete(a, events=t.event(EventKind.COMPLETED, a.envelope.id)),
        t.retry(b, events=t.event(EventKind.RETRIED, b.envelope.id)),
        t.dead(c, events=t.event(EventKind.DEAD, c.envelope.id)),
    )
    told = [(e.event.kind, e.event.task_id) for e in await _log(t, broker).read()]
    wanted = [(EventKind.COMPLETED, a.envelope.id), (EventKind.RETRIED, b.envelope.id), (EventKind.DEAD, c.envelope.id)]
    t.expect.same(told, wanted, "one each")
