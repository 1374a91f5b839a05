"""What goes on around a process in trouble: others sweep and fetch."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator

from orcastra_conformance.engine.trial import Trial
from orcastra_conformance.history.telling import shown
from orcastra_core.interfaces.broker import Broker
from orcastra_core.interfaces.session import Session
from orcastra_core.model.delivery import Delivery, Want
from orcastra_core.model.names import QueueName
from orcastra_core.model.session import Swept

STEPS_PER_LEASE = 4
"""How often a sweeper sweeps while a lease passes."""
_FEW = 10
_EMPTY = 3
"""Empty fetches in a row that mean that nothing is there: one of them may come back early."""


def recovery_time(t: Trial) -> float:
    """Seconds within which the deliveries of a dead process must have come to somebody else."""
    # `limits.recovery_time` holds for the least lease
    return t.profile.limits.recovery_time + t.lease


async def sweeps(t: Trial, judge: Broker, seconds: float) -> AsyncIterator[Swept]:
    """Sweep, and again as time passes, for ``seconds`` of the store's time; yields what each sweep did."""
    for _ in range(math.ceil(seconds / t.lease * STEPS_PER_LEASE) + 1):
        swept = await judge.sweep(limit=t.profile.limits.max_batch)
        if swept.sessions or swept.lost:
            t.note(f"sweep → {list(swept.sessions)} reaped, {len(swept.lost)} handed out again")
        yield swept
        await t.harness.advance(t.lease / STEPS_PER_LEASE)


async def recovered(t: Trial, judge: Broker, heir: Session, number: int) -> list[Delivery]:
    """Sweep and fetch until ``number`` deliveries have come to ``heir``, and demand that they do in time."""
    got: list[Delivery] = []
    async for _ in sweeps(t, judge, recovery_time(t)):
        got += await fetched(t, heir, number - len(got), t.queue())
        if len(got) == number:
            return got
    raise t.fail(
        f"the deliveries of a dead process are handed out again within limits.recovery_time;"
        f" {len(got)} of {number} were, after {recovery_time(t):g} s"
    )


async def undisturbed(t: Trial, judge: Broker, rival: Session, seconds: float, *judges: Broker) -> None:
    """Sweep, by one client or several, and fetch for ``seconds``; demand that nobody is reaped and nothing handed out."""
    async for swept in sweeps(t, judge, seconds):
        reaped = [*swept.sessions]
        for another in judges:
            reaped += (await another.sweep(limit=t.profile.limits.max_batch)).sessions
        t.expect.equal(reaped, [], "nobody who beats is reaped")
        got = await fetched(t, rival, 10, t.queue())
        t.expect.equal([shown(delivery) for delivery in got], [], "what a live session holds is not handed out again")


async def fetched(t: Trial, session: Session, number: int, *queues: QueueName) -> list[Delivery]:
    """Fetch all that is there of each queue, up to ``number``, without waiting."""
    got: list[Delivery] = []
    empty = 0
    while number > len(got) and empty < _EMPTY:
        room = min(t.profile.limits.max_batch, number - len(got))
        page = await session.fetch(Want(room, [(queue, room) for queue in queues]), wait=0)
        got += page
        empty = 0 if page else empty + 1
    if got:
        t.note(
            f"{session.id} fetched {[shown(one) for one in got[:_FEW]]}{' …' if len(got) > _FEW else ''}, {len(got)}"
        )
    return got
