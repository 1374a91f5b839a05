"""Several processes on one file: competing, killed, stopped."""

from __future__ import annotations

import asyncio
import os
import signal
from collections import Counter
from collections.abc import Callable

import pytest
from sqlite_actors.making import QUEUE, completed, envelopes, want
from sqlite_actors.process import Actor, Failure

from orcastra_core.backends.sqlite import SqliteBroker
from orcastra_core.backends.sqlite.session import SqliteSession
from orcastra_core.model.event import EventKind
from orcastra_core.model.result import Result
from orcastra_core.model.session import Swept
from orcastra_core.model.settlement import Done

pytestmark = pytest.mark.timeout(30)
NEVER = 3600.0


async def events_of(broker: SqliteBroker, kind: EventKind) -> Counter[str]:
    """Count a kind of event by task."""
    counted: Counter[str] = Counter()
    cursor = None
    while entries := await broker.events.read(after=cursor):
        cursor = entries[-1].cursor
        counted.update(entry.event.task_id or "" for entry in entries if entry.event.kind is kind)
    return counted


async def swept(broker: SqliteBroker, *, sessions: int) -> Swept:
    """Sweep until as many sessions were reaped: as the runtime does, only more often."""
    reaped = Swept()
    while len(reaped.sessions) < sessions:
        found = await broker.sweep(limit=1000)
        reaped = Swept([*reaped.sessions, *found.sessions], [*reaped.lost, *found.lost])
        await asyncio.sleep(0.01)
    return reaped


async def test_two_processes_compete_without_overlap_or_loss(broker: SqliteBroker, actor: Callable[[], Actor]) -> None:
    batch = envelopes(1000)
    await broker.publish(batch)
    workers = [actor(), actor()]
    await asyncio.gather(*(worker.ask("open", lease=10.0) for worker in workers))
    one, two = await asyncio.gather(*(worker.ask("drain", limit=7) for worker in workers))
    assert sorted(one + two) == sorted(e.id for e in batch)
    assert one
    assert two
    completed_events = await events_of(broker, EventKind.COMPLETED)
    assert completed_events == Counter(e.id for e in batch)


async def test_a_publish_of_another_process_wakes_a_fetch(session: SqliteSession, actor: Callable[[], Actor]) -> None:
    other = actor()
    await other.ask("open", lease=10.0)
    waiting = asyncio.create_task(session.fetch(want(1), wait=NEVER))
    (task_id,) = await other.ask("publish", number=1)
    (delivery,) = await waiting
    assert delivery.envelope.id == task_id


async def test_what_a_killed_process_held_comes_again_within_a_second(
    broker: SqliteBroker, session: SqliteSession, actor: Callable[[], Actor]
) -> None:
    batch = envelopes(20)
    await broker.publish(batch)
    victim = actor()
    session_id = await victim.ask("open", lease=3600.0)  # no clock is needed to see that it is dead
    held = await victim.ask("fetch", limit=12)
    victim.kill()
    async with asyncio.timeout(1.0):
        found = await swept(broker, sessions=1)
        again = await session.fetch(want(20), wait=0)
    assert found.sessions == [session_id]
    assert [one.id for one in found.lost] == held
    assert [one.envelope.id for one in again] == [e.id for e in batch], "at their old places"
    assert [one.counts.lost for one in again] == [1] * 12 + [0] * 8
    assert await events_of(broker, EventKind.LOST) == Counter(held)


async def test_a_child_that_was_forked_does_not_keep_a_killed_process_alive(
    broker: SqliteBroker, actor: Callable[[], Actor]
) -> None:
    await broker.publish(envelopes(1))
    victim = actor()
    await victim.ask("open", lease=3600.0)
    await victim.ask("fetch", limit=1)
    orphan = await victim.ask("fork")
    try:
        victim.kill()
        async with asyncio.timeout(1.0):
            assert len((await swept(broker, sessions=1)).lost) == 1
    finally:
        await asyncio.to_thread(_kill, orphan)


async def test_a_process_stopped_past_its_lease_is_fenced_when_it_goes_on(
    broker: SqliteBroker, session: SqliteSession, actor: Callable[[], Actor]
) -> None:
    batch = envelopes(3)
    await broker.publish(batch)
    sleeper = actor()
    await sleeper.ask("open", lease=0.5)
    await sleeper.ask("fetch", limit=3)
    await sleeper.stop()
    async with asyncio.timeout(5.0):
        found = await swept(broker, sessions=1)
    assert len(found.lost) == 3
    again = await session.fetch(want(3), wait=0)
    sleeper.go_on()
    assert await sleeper.ask("settle") == [], "too late: STALE"
    with pytest.raises(Failure, match="SessionFenced"):
        await sleeper.ask("fetch", limit=1)
    answers = await session.settle([completed(one, b"\x07") for one in again], number=1)
    assert all(isinstance(one, Done) for one in answers)
    results = await broker.results.get([e.id for e in batch])
    assert [one.value for one in results if isinstance(one, Result)] == [b"\x07"] * 3, "the late twin left nothing"


async def test_a_process_stopped_for_less_than_its_lease_is_left_alone(
    broker: SqliteBroker, actor: Callable[[], Actor]
) -> None:
    await broker.publish(envelopes(1))
    sleeper = actor()
    await sleeper.ask("open", lease=3.0)
    held = await sleeper.ask("fetch", limit=1)
    await broker.sweep(limit=10)
    await sleeper.stop()
    for _ in range(10):
        assert await broker.sweep(limit=10) == Swept()
        await asyncio.sleep(0.05)
    sleeper.go_on()
    assert await sleeper.ask("settle") == held


async def test_a_process_stopped_as_it_writes_gets_nobody_fenced(
    broker: SqliteBroker, actor: Callable[[], Actor]
) -> None:
    lease = 0.5
    healthy = await broker.open_session([QUEUE], lease=lease)
    await broker.publish(envelopes(2))
    (held,) = await healthy.fetch(want(1), wait=0)
    holder, worker = actor(), actor()
    await holder.ask("open", lease=3600.0)
    await worker.ask("open", lease=lease)
    theirs = await worker.ask("fetch", limit=1)
    holder.tell("stop_as_it_writes")
    await holder.stopped()
    worker.tell("publish", number=1)  # it waits in line all the time
    async with asyncio.TaskGroup() as group:
        settling = group.create_task(healthy.settle([completed(held)], number=1))
        publishing = group.create_task(broker.publish(envelopes(5)))
        ends = asyncio.get_running_loop().time() + 3.5 * lease
        while asyncio.get_running_loop().time() < ends:
            assert await broker.sweep(limit=10) == Swept()
            assert not settling.done()
            await asyncio.sleep(0.05)
        holder.go_on()
        assert await holder.hear() == {"answer": None}
    assert all(isinstance(one, Done) for one in settling.result())
    assert len(publishing.result()) == 5
    assert len((await worker.hear())["answer"]) == 1
    assert await broker.sweep(limit=10) == Swept()
    assert await worker.ask("settle") == theirs
    assert await worker.ask("sweep") == {"sessions": [], "lost": []}


async def test_a_sweeper_that_was_stopped_itself_judges_nobody_by_what_it_saw_before(
    broker: SqliteBroker, actor: Callable[[], Actor]
) -> None:
    silent = await broker.open_session([QUEUE], lease=0.5)
    assert isinstance(silent, SqliteSession)
    sweeper = actor()
    await sweeper.ask("open", lease=3600.0)
    silent.suspend()
    assert (await sweeper.ask("sweep"))["sessions"] == []
    await sweeper.stop()
    await asyncio.sleep(1.5)  # three leases, which it does not live through
    sweeper.go_on()
    assert (await sweeper.ask("sweep"))["sessions"] == [], "its own stall: contact begins anew"
    async with asyncio.timeout(5.0):
        while True:
            if silent.id in (await sweeper.ask("sweep"))["sessions"]:
                break
            await asyncio.sleep(0.02)


def _kill(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)
