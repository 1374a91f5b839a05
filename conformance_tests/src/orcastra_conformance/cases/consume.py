"""Fetching."""

from __future__ import annotations

import asyncio

from orcastra_conformance.engine.case import case
from orcastra_conformance.engine.steps import cancelled_after, growing_steps, turns
from orcastra_conformance.engine.trial import Trial
from orcastra_core.model.delivery import Want
from orcastra_core.model.envelope import Unreadable
from orcastra_core.model.names import QueueName
from orcastra_core.model.profile import Cap

ODD_NAMES = ["q", "q2", "q:1", "q.1", "q*", "q/1", "q 1", "Q", "ü", "q{a}", "%q", "q'\"", "q;--", "任务"]


@case("con.empty-wait", why="fetch returns [] after `wait` seconds; wait=0 answers at once")
async def _(t: Trial) -> None:
    session = await t.session(await t.broker())
    want = Want(3, [(t.queue(), 3)])
    got = await t.soon(session.fetch(want, wait=0), "wait=0 answers at once")
    t.expect.equal(list(got), [], "there is nothing")
    async with asyncio.TaskGroup() as group:
        waiting = group.create_task(session.fetch(want, wait=t.moment))
        await turns(20)
        await t.advance(2 * t.moment)
        t.expect.equal(list(await t.soon(waiting, "fetch ends after its wait")), [], "there is nothing still")


@case("con.before-first-consumer", why="what was published before any session existed is still delivered")
async def _(t: Trial) -> None:
    first = await t.broker()
    sent = t.envelopes(3)
    await t.stored(first, *sent)
    await first.close()
    session = await t.session(await t.broker())
    taken = await t.take(session, 3)
    t.expect.same([d.envelope.id for d in taken], [e.id for e in sent], "all of it is delivered")


@case("con.wakes", why="a Stored envelope wakes a session that waits")
async def _(t: Trial) -> None:
    one, other = await t.broker(), await t.broker()
    session = await t.session(one)
    for publisher in (one, other):
        async with asyncio.TaskGroup() as group:
            waiting = group.create_task(t.awaited(session))
            await turns(20)
            envelope = t.envelope()
            await t.stored(publisher, envelope)
            got = await t.soon(waiting, "a publish wakes")
        t.expect.equal(got.envelope.id, envelope.id, "the waiting fetch returns with it")


@case("con.wakes-each", why="two waiting sessions: what the first leaves wakes the second")
async def _(t: Trial) -> None:
    broker = await t.broker()
    sessions = [await t.session(await t.broker()) for _ in range(2)]
    async with asyncio.TaskGroup() as group:
        queues = (t.queue("other"), t.queue())
        waiting = [group.create_task(t.awaited(session, *queues)) for session in sessions]
        await turns(20)
        sent = t.envelopes(2)
        await t.stored(broker, *sent)
        got = [(await t.soon(fetch, "two tasks wake two fetches")).envelope.id for fetch in waiting]
    t.expect.same(got, [e.id for e in sent], "each gets one")


@case("con.demand", why="at most want.limit in all and n of each queue; the sequence of queues is the precedence")
async def _(t: Trial) -> None:
    broker = await t.broker()
    a, b = t.queue("a"), t.queue("b")
    await t.stored(broker, *t.envelopes(5, "a"), *t.envelopes(5, "b"))
    session = await t.session(broker, a, b)

    async def queues(limit: int, *quotas: tuple[QueueName, int]) -> list[str]:
        got: list[str] = []
        empty = 0
        while len(got) < limit and empty < 3:  # a fetch may give less than there is, and nothing now and then
            left = [(queue, most - got.count(queue)) for queue, most in quotas]
            page = [d.envelope.queue for d in await t.fetch(session, Want(limit - len(got), left))]
            t.expect.true(
                all(page.count(queue) <= most for queue, most in left), f"{page}: no more of each than {left}"
            )
            empty = 0 if page else empty + 1
            got += page
        return got

    t.expect.equal(await queues(3, (b, 2), (a, 5)), ["b", "b", "a"], "2 of b at most, then a, 3 in all")
    t.expect.equal(await queues(9, (a, 1), (b, 1)), ["a", "b"], "1 of each")
    t.expect.equal(await queues(2, (a, 9), (b, 9)), ["a", "a"], "2 in all, and a comes first")
    t.expect.equal(await queues(9, (a, 0), (b, 9)), ["b", "b"], "none of a, and b has 2 left")
    t.expect.equal(await queues(9, (a, 9), (b, 9)), ["a"], "the last one; none is handed out twice")


@case("con.competing", why="a delivery is held by one session at a time")
async def _(t: Trial) -> None:
    brokers = [await t.broker() for _ in range(3)]
    sent = t.envelopes(60)
    await t.stored(brokers[0], *sent)
    sessions = [await t.session(broker) for broker in brokers for _ in range(2)]
    seen: list[str] = []
    empty = 0
    while empty < 3:
        async with asyncio.TaskGroup() as group:
            want = Want(4, [(t.queue(), 4)])
            fetches = [group.create_task(session.fetch(want, wait=0)) for session in sessions]
        got = [d.envelope.id for fetch in fetches for d in fetch.result()]
        seen += got
        empty = 0 if got else empty + 1
    t.expect.same(seen, [e.id for e in sent], "six competing sessions get each task once")


@case("con.queue-isolation", why="two different names are kept apart whatever they are made of")
async def _(t: Trial) -> None:
    broker = await t.broker()
    sent = {name: t.envelope(name) for name in ODD_NAMES}
    await t.stored(broker, *sent.values())
    session = await t.session(broker, *(t.queue(name) for name in ODD_NAMES))
    for name, envelope in sent.items():
        got = await t.one(session, t.queue(name))
        t.expect.equal(got.envelope.id, envelope.id, f"queue {name!r} holds its own")
        await t.nothing_now(session, t.queue(name), because=f"queue {name!r} holds nothing else")


@case("con.domain-isolation", why="two domains never meet")
async def _(t: Trial) -> None:
    broker = await t.broker()
    envelope = t.envelope()
    await t.stored(broker, envelope)
    mine, t.domain = t.domain, f"{t.domain}-other"
    other = await t.broker()
    session = await t.session(other)
    await t.nothing(session, because="another domain's queue of the same name is empty")
    await t.stored(other, envelope)
    await other.close()
    await t.harness.wipe(t.domain)
    t.domain = mine
    await t.take(await t.session(broker), 1)


@case("con.no-hidden-buffer", why="nothing is prefetched beyond what is returned")
async def _(t: Trial) -> None:
    one, other = await t.broker(), await t.broker()
    await t.stored(one, *t.envelopes(5))
    greedy, patient = await t.session(one), await t.session(other)
    await t.one(greedy)
    t.expect.equal(len(await t.take(patient, 4)), 4, "the rest goes to whoever asks")


@case(
    "con.cancelled-fetch",
    slow=True,
    why="after a fetch that was cancelled, the next one first hands out what its caller never saw",
)
async def _(t: Trial) -> None:
    broker = await t.broker()
    session = await t.session(broker)
    for steps in growing_steps(2000):
        sent = t.envelopes(3)
        await t.stored(broker, *sent)
        cut = await cancelled_after(steps, session.fetch(Want(2, [(t.queue(), 2)]), wait=0))
        seen = list(cut.value or [])
        seen += await t.take(session, 3 - len(seen))
        t.expect.same(
            [d.envelope.id for d in seen], [e.id for e in sent], f"cancelled after {steps} steps: each task once"
        )
        t.expect.equal({d.counts.lost + d.counts.released for d in seen}, {0}, "nothing was lost or released by that")
        t.expect.same(map(str, await session.held()), [str(d.receipt) for d in seen], "held() is what was seen")
        await t.done(session, *(t.complete(d) for d in seen))
        if cut.finished:
            break


@case("con.cancelled-wait", why="a wake-up that reaches a cancelled fetch is not lost to the others")
async def _(t: Trial) -> None:
    broker = await t.broker()
    sessions = [await t.session(await t.broker()) for _ in range(2)]
    for steps in range(8):
        async with asyncio.TaskGroup() as group:
            doomed = group.create_task(t.awaited(sessions[0]))
            await turns(20)
            waiting = group.create_task(t.awaited(sessions[1]))
            await turns(20)
            envelope = t.envelope()
            await t.stored(broker, envelope)
            await turns(steps)
            doomed.cancel()
            await asyncio.wait([doomed])
            seen = [] if doomed.cancelled() else [doomed.result()]
            owner = sessions[0] if seen else sessions[1]
            if seen:
                waiting.cancel()
                await asyncio.wait([waiting])
                t.expect.true(waiting.cancelled(), "one task is not handed out twice")
            else:
                held = await sessions[0].held()
                if held:  # it reached the cancelled fetch's session: the next fetch owes it
                    waiting.cancel()
                    await asyncio.wait([waiting])
                    owner, seen = sessions[0], await t.take(sessions[0], 1)
                else:
                    seen = [await t.soon(waiting, "the wake-up goes on to the next")]
        t.expect.equal([d.envelope.id for d in seen], [envelope.id], "somebody gets it")
        await t.done(owner, t.complete(seen[0]))


@case(
    "con.disown",
    why="held() says what the store says this session holds; what is disowned the next fetch hands out again",
)
async def _(t: Trial) -> None:
    broker = await t.broker()
    session, taken = await t.running(broker, *t.envelopes(3))
    receipts = [d.receipt for d in taken]
    t.expect.same(map(str, await session.held()), map(str, receipts), "held() lists all three")
    session.disown([receipts[1], "nonsense"])
    again = await t.one(session)
    t.expect.equal(again.envelope.id, taken[1].envelope.id, "the disowned delivery comes again, and it alone")
    t.expect.equal(again.counts, taken[1].counts, "that counts as nothing")
    await t.nothing(session, because="nothing else was disowned")
    await t.done(session, t.complete(taken[0]), t.complete(again), t.complete(taken[2]))
    t.expect.equal(list(await session.held()), [], "settled deliveries are held no more")


@case("con.unreadable", why="stored bytes that are no envelope are handed out as Unreadable, intact")
async def _(t: Trial) -> None:
    broker = await t.broker()
    session = await t.session(broker)
    planted = t.unreadable(b"\xff\x00not an envelope")
    await t.harness.plant(broker, planted)
    await t.stored(broker, t.envelope())
    taken = await t.take(session, 2)
    found = [d for d in taken if isinstance(d.envelope, Unreadable)]
    t.expect.equal(len(found), 1, "the bytes are delivered, and so is their neighbour")
    bad = t.expect.is_a(found[0].envelope, Unreadable, "it is Unreadable")
    t.expect.equal(bad.raw, planted.raw, "the bytes are intact")
    await t.done(session, *(t.dead(d, "unreadable") if d is found[0] else t.complete(d) for d in taken))
    if broker.dead_letters is not None and t.claims(Cap.DEAD_LETTERS):
        (letter,) = await broker.dead_letters.get([bad.id])
        kept = t.expect.found(letter, "it is a dead letter now").envelope
        t.expect.equal(t.expect.is_a(kept, Unreadable, "still Unreadable").raw, planted.raw, "with its bytes intact")
