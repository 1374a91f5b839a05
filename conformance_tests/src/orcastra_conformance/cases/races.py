"""Two calls at once."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from orcastra_conformance.engine.app import in_time
from orcastra_conformance.engine.case import case
from orcastra_conformance.engine.steps import growing_steps, turns
from orcastra_conformance.engine.trial import FAR, Trial
from orcastra_core.interfaces.broker import Broker
from orcastra_core.interfaces.session import Session
from orcastra_core.model.counts import Counts
from orcastra_core.model.delivery import Want
from orcastra_core.model.envelope import Envelope
from orcastra_core.model.profile import Cap
from orcastra_core.model.settlement import STALE, Done, Settlement
from orcastra_core.model.task_state import Cancelled

A = TypeVar("A")
B = TypeVar("B")


async def _both(steps: int, first: Coroutine[Any, Any, A], second: Coroutine[Any, Any, B]) -> tuple[A, B, bool]:
    """Start the second call some steps of the loop after the first; their answers, and whether it came too late to race."""
    async with asyncio.TaskGroup() as group:
        one = group.create_task(first)
        await turns(steps)
        over = one.done()
        other = group.create_task(second)
    return one.result(), other.result(), over


@case(
    "conc.settle-vs-reap",
    needs=[Cap.FENCED],
    slow=True,
    why="of a settle and a reap at the same time one has the delivery: it is settled, or handed out again, never both or neither",
)
async def _(t: Trial) -> None:
    broker, judge = await t.broker(), await t.broker()
    for settle_first in (True, False):
        for steps in growing_steps(200):
            session, (a, b, c) = await t.running(broker, *t.envelopes(3))
            batch: list[Settlement] = [t.complete(a), t.retry(b), t.complete(c)]
            settling, reaping = t.settle(session, *batch), judge.expire(session.id)
            if settle_first:
                answers, lost, over = await _both(steps, settling, reaping)
            else:
                lost, answers, over = await _both(steps, reaping, settling)
            owed = {}
            for item, answer in zip(batch, answers, strict=True):
                if answer is STALE:
                    owed[item.delivery.envelope.id] = Counts(0, 1, 0)
                elif item.delivery is b:
                    owed[b.envelope.id] = Counts(1, 0, 0)
                t.expect.true(answer is STALE or isinstance(answer, Done), f"settled or too late: {answer}")
            after = f"{'settle' if settle_first else 'reap'} first, the other {steps} steps later"
            stale = sum(answer is STALE for answer in answers)
            t.expect.equal(lost, stale, f"{after}: what was too late was handed out again")
            heir = await t.session(judge)
            again = await t.take(heir, len(owed))
            t.expect.equal({d.envelope.id: d.counts for d in again}, owed, f"{after}: what is left, as it was left")
            await t.nothing_now(heir, because=f"{after}: nothing else is left")
            await t.done(heir, *(t.complete(delivery) for delivery in again))
            await heir.leave()
            await session.leave()
            if over:
                break


@case(
    "conc.cancel-vs-fetch",
    needs=[Cap.CANCEL],
    slow=True,
    why="of a cancel and a fetch at the same time one has the task: REMOVED and never handed out, or SIGNALLED and handed out",
)
async def _(t: Trial) -> None:
    broker, other = await t.broker(), await t.broker()
    session = await t.session(broker)
    for cancel_first in (True, False):
        for steps in growing_steps(200):
            envelope = t.envelope()
            await t.stored(broker, envelope)
            fetching = session.fetch(Want(1, [(t.queue(), 1)]), wait=0)
            cancelling = other.cancel([t.cancellation(envelope.id)])
            if cancel_first:
                answers, taken, over = await _both(steps, cancelling, fetching)
            else:
                taken, answers, over = await _both(steps, fetching, cancelling)
            (said,) = answers
            after = f"{'cancel' if cancel_first else 'fetch'} first, the other {steps} steps later"
            if said is Cancelled.SIGNALLED:
                delivery = taken[0] if taken else await t.one(session)
                await t.done(session, t.complete(delivery))
            else:
                t.expect.equal(said, Cancelled.REMOVED, f"{after}: it was waiting, or it runs")
                t.expect.equal(list(taken), [], f"{after}: what was removed is not handed out")
            await t.nothing_now(session, because=f"{after}: nothing is left")
            t.expect.equal(list(await session.held()), [], f"{after}: nothing is held")
            if over:
                break


@case(
    "conc.publish-while-fetching",
    slow=True,
    why="publishing and waiting at the same time, on shared clients: each task is handed out once, and none is left lying",
)
async def _(t: Trial) -> None:
    brokers = [await t.broker() for _ in range(2)]
    sent = t.envelopes(60)
    seen, all_seen = list[str](), asyncio.Event()

    async def consume(session: Session) -> None:
        while True:
            taken = await t.fetch(session, t.want(3), wait=FAR)
            seen.extend(delivery.envelope.id for delivery in taken)
            if len(seen) >= len(sent):
                all_seen.set()
            if taken:
                await t.done(session, *(t.complete(delivery) for delivery in taken))

    async def publish(broker: Broker, envelopes: list[Envelope]) -> None:
        for envelope in envelopes:
            await t.stored(broker, envelope)
            await turns(t.rng.randrange(8))

    sessions = [await t.session(broker) for broker in brokers for _ in range(2)]
    async with asyncio.TaskGroup() as group:
        consumers = [group.create_task(consume(session)) for session in sessions]
        for number in range(6):
            group.create_task(publish(brokers[number % 2], sent[number * 10 : number * 10 + 10]))
        await in_time(t, all_seen.wait(), "all of it is handed out")
        for consumer in consumers:
            consumer.cancel()
    t.expect.same(seen, [envelope.id for envelope in sent], "each once")
