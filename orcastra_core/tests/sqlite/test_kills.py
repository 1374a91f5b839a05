"""kill -9 in the middle of everything, again and again."""

from __future__ import annotations

import asyncio
import os
import random
from collections import Counter
from collections.abc import Callable
from itertools import count

import pytest
from sqlite_actors.making import completed, want
from sqlite_actors.process import Actor

from orcastra_core.backends.sqlite import SqliteBroker
from orcastra_core.backends.sqlite.session import SqliteSession
from orcastra_core.model.event import EventKind
from orcastra_core.model.ids import TaskId
from orcastra_core.model.settlement import Done
from orcastra_core.model.task_state import State

ROUNDS = 40 if os.environ.get("ORCASTRA_PROOF") else 6


@pytest.mark.timeout(120)
async def test_what_was_confirmed_survives_and_nothing_is_completed_twice(
    broker: SqliteBroker, session: SqliteSession, actor: Callable[[], Actor]
) -> None:
    rng = random.Random(7)
    said: list[tuple[str, TaskId]] = []
    for _ in range(ROUNDS):
        victims = [actor(), actor()]
        for victim in victims:
            await victim.ask("open", lease=10.0)
            victim.tell("churn")
        said += [tuple(await victim.hear()) for victim in victims]
        await asyncio.sleep(rng.uniform(0.0, 0.15))  # wherever it is then
        for victim in victims:
            victim.kill()
        for victim in victims:
            said += [(kind, task_id) for kind, task_id in victim.last_words()]
        while (await broker.sweep(limit=1000)).more:
            pass
    stored = [task_id for kind, task_id in said if kind == "stored"]
    done = Counter(task_id for kind, task_id in said if kind == "done")
    assert max(done.values()) == 1, "nobody was told twice that it completed a task"
    found = await broker.find([*dict.fromkeys([*stored, *done])])
    assert all(found), "all that was confirmed is known"
    finished = {one.id for one in found if one is not None and one.state is State.FINISHED}
    assert set(done) <= finished, "a confirmed settlement stands"
    numbers = count(1)
    while got := await session.fetch(want(500), wait=0):
        answers = await session.settle([completed(one) for one in got], number=next(numbers))
        assert all(isinstance(one, Done) for one in answers)
        finished.update(one.envelope.id for one in got)
    events: Counter[str] = Counter()
    cursor = None
    while entries := await broker.events.read(after=cursor):
        cursor = entries[-1].cursor
        events.update(e.event.task_id or "" for e in entries if e.event.kind is EventKind.COMPLETED)
    assert max(events.values()) == 1, "the log has each completion once"
    assert finished <= set(events), "and every one of them"
    ended = await broker.find([TaskId(one) for one in events])  # some were killed before they could say so
    assert {one.state for one in ended if one is not None} == {State.FINISHED}
    assert all(ended)
    depths = await broker.inspect()
    assert [(d.ready, d.delayed, d.running, d.dead) for d in depths] == [(0, 0, 0, 0)], "nothing is stranded"
