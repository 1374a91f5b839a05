"""More than any one page, call or transaction takes."""

from __future__ import annotations

from orcastra_conformance.engine.case import case
from orcastra_conformance.engine.trial import Trial
from orcastra_core.interfaces.session import Session
from orcastra_core.model.counts import Counts
from orcastra_core.model.delivery import Delivery, Want
from orcastra_core.model.settlement import Done

BACKLOG = 2500


async def _take_all(t: Trial, session: Session, most: int) -> list[Delivery]:
    """Fetch in calls of ``max_batch`` until nothing comes."""
    page = t.profile.limits.max_batch
    taken: list[Delivery] = []
    empty = 0
    while len(taken) < most and empty < 3:
        got = await session.fetch(Want(page, [(t.queue(), page)]), wait=0)
        t.expect.true(len(got) <= page, "no more than was asked for")
        taken += got
        empty = 0 if got else empty + 1
    t.note(f"{session.id} took {len(taken)}")
    return taken


@case(
    "ses.big-backlog",
    budget=20.0,
    why="a dead session's deliveries are handed out again, all of them, each once, however many they are",
    hint="is there a page of 1,000 somewhere that is read once?",
)
async def _(t: Trial) -> None:
    broker, other = await t.broker(), await t.broker()
    sent = t.envelopes(BACKLOG)
    page = t.profile.limits.max_batch
    for first in range(0, BACKLOG, page):
        await broker.publish(sent[first : first + page])
    dead = await t.session(broker)
    t.expect.equal(len(await _take_all(t, dead, BACKLOG)), BACKLOG, "one session holds all of it")
    t.expect.equal(len(await dead.held()), BACKLOG, "held() lists all of it")
    t.expect.equal(await t.expirer(broker, other).expire(dead.id), BACKLOG, "expire hands all of it out again")
    heir = await t.session(other)
    again = await _take_all(t, heir, BACKLOG)
    t.in_order([d.envelope.id for d in again], [e.id for e in sent], "each comes again, once")
    t.expect.equal({d.counts for d in again}, {Counts(0, 1, 0)}, "and was lost once")
    t.expect.equal(list(await t.fetch(heir, t.want(10))), [], "nothing comes twice")
    await heir.leave()
    t.expect.equal(len(await _take_all(t, await t.session(broker), BACKLOG)), BACKLOG, "leave hands back all of it")


@case(
    "hon.limits-true",
    budget=20.0,
    why="what the limits say is taken: max_batch in one fetch and one settle, max_body in a result and an emit",
)
async def _(t: Trial) -> None:
    broker = await t.broker()
    limits = t.profile.limits
    sent = t.envelopes(limits.max_batch)
    await broker.publish(sent)
    session = await t.session(broker)
    taken = await _take_all(t, session, limits.max_batch)
    answers = await session.settle([t.complete(delivery, ttl=0.0) for delivery in taken], number=1)
    t.expect.equal([type(answer) for answer in answers], [Done] * len(sent), "a full batch is settled in one call")
    largest = bytes(limits.max_body)
    await t.stored(broker, t.envelope())
    delivery = await t.one(session)
    follow_up = t.envelope("next", body=largest)
    answers = await session.settle([t.complete(delivery, largest, emit=[follow_up])], number=2)
    t.expect.equal([type(answer) for answer in answers], [Done], "the largest result, with the largest follow-up")
    if broker.results is not None:
        (found,) = await broker.results.get([delivery.envelope.id])
        t.expect.equal(len(getattr(found, "value", b"")), limits.max_body, "the result is stored whole")
    got = await t.one(session, t.queue("next"))
    t.expect.equal(len(getattr(got.envelope, "body", b"")), limits.max_body, "and so is the follow-up")
    longest = t.queue("ö" * 100)
    await t.stored(broker, t.envelope(longest))
    await t.one(session, longest)
