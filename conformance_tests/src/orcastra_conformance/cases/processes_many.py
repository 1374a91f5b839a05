"""Processes that compete, and one that dies amid them."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Iterable, Sequence

from orcastra_conformance.engine.case import case
from orcastra_conformance.engine.trial import Trial
from orcastra_conformance.faults.process import Agent, spawned
from orcastra_conformance.faults.recovery import recovery_time, sweeps
from orcastra_conformance.history.records import HandOut, Record, Settle
from orcastra_conformance.history.telling import short
from orcastra_core.interfaces.session import Session
from orcastra_core.model.delivery import Want
from orcastra_core.model.ids import TaskId
from orcastra_core.model.names import SessionId
from orcastra_core.model.profile import Cap
from orcastra_core.model.settlement import Done

TASKS = 200


@case(
    "proc.many-drain",
    budget=30.0,
    why="processes that compete settle each task; where Cap.STABLE_SESSION and Cap.FENCED are claimed each gets it once,"
    " settles it once, and what one of them held as it was killed goes to another, lost + 1",
)
async def _(t: Trial) -> None:
    broker = await t.broker()
    agents = await spawned(t, 4)
    envelopes = t.envelopes(TASKS)
    await t.stored(broker, *envelopes)
    sessions = [await agent.session() for agent in agents]
    fetches = t.rng.randrange(2, 6)
    left = {envelope.id for envelope in envelopes}
    async with asyncio.TaskGroup() as group:
        group.create_task(_compete(t, sessions[0], left, until=fetches, then=agents[0]))
        for session in sessions[1:]:
            group.create_task(_compete(t, session, left))
        async for _ in sweeps(t, broker, recovery_time(t) + 10 * t.lease):
            if not left:
                break
        else:
            left.clear()  # they come to an end; the judgement says what is missing
    steady = t.claims(Cap.STABLE_SESSION, Cap.FENCED)
    wrong = judged([one.id for one in envelopes], t.history.records, dead=sessions[0].id, steady=steady)
    t.expect.equal(wrong, [], "each task is handed out and settled as often as it is owed")


async def _compete(
    t: Trial, session: Session, left: set[TaskId], *, until: int | None = None, then: Agent | None = None
) -> None:
    """Take and complete while something is left; after ``until`` hand-overs have the process killed with what it holds."""
    fetches = 0
    want = Want(5, [(t.queue(), 5)])
    while left:
        got = await t.fetch(session, want, wait=t.moment)
        fetches += bool(got)
        if then is not None and fetches == until:
            await then.kill()
            return
        if got:
            answers = await t.settle(session, *(t.complete(delivery) for delivery in got))
            left.difference_update(
                d.envelope.id for d, answer in zip(got, answers, strict=True) if isinstance(answer, Done)
            )


def judged(tasks: Sequence[TaskId], records: Iterable[Record], *, dead: SessionId, steady: bool = True) -> list[str]:
    """Say what is wrong about a history in which one session died, and all others took and completed. Pure.

    Args:
        tasks: What was published.
        records: What was done.
        dead: The session that died.
        steady: Whether only a death hands out again what somebody has; else a task may come more than once.
    """
    holders: dict[TaskId, list[tuple[SessionId, int]]] = defaultdict(list)
    done: dict[TaskId, list[SessionId]] = defaultdict(list)
    for record in records:
        match record:
            case HandOut(answer=deliveries, session=session) if deliveries:
                for delivery in deliveries:
                    holders[delivery.envelope.id].append((session, delivery.counts.lost))
            case Settle(answer=answers, batch=batch, session=session) if answers:
                for item, answer in zip(batch, answers, strict=True):
                    if isinstance(answer, Done):
                        done[item.delivery.envelope.id].append(session)
    wrong = [f"{short(task)} was never published" for task in holders.keys() - set(tasks)]
    for task in tasks:
        if not done[task] or (steady and len(done[task]) > 1):
            wrong.append(f"{short(task)} was settled by {done[task] or 'nobody'}")
        widowed = done[task] != [dead] and any(session == dead for session, _ in holders[task])
        want = [(dead, 0)] * widowed + [(session, int(widowed)) for session in done[task]]
        if steady and holders[task] != want:
            wrong.append(f"{short(task)} was handed out to {holders[task]} (session, lost), not to {want}")
    return wrong
