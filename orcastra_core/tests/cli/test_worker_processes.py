"""``orcastra worker -p``: worker processes under a shepherd, killed, stopped and starved in all ways."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from orcastra_core.backends.sqlite.lock_file import LockFile
from orcastra_core.model.event import Event, EventKind
from orcastra_core.model.ids import TaskId

Start = Callable[..., Awaitable[Any]]


async def history(app: Any, task_id: TaskId | None = None) -> list[Event]:
    events: list[Event] = []
    after = None
    while entries := await app.broker.events.read(after=after, limit=1000):
        after = entries[-1].cursor
        events += [entry.event for entry in entries if task_id is None or entry.event.task_id == task_id]
    return events


async def kinds(app: Any, task_id: TaskId) -> list[EventKind]:
    return [event.kind for event in await history(app, task_id)]


async def children(shepherd: Any, count: int) -> list[int]:
    """Wait until so many worker processes have started; return all their pids."""
    await shepherd.line("INFO worker ", count=count)
    return [int(pid) for pid in re.findall(r"worker (\d+) started", shepherd.text)]


def gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


async def test_the_tasks_of_a_killed_process_are_completed_once(place: Any, start: Start, gate: Any) -> None:
    app = place.client()
    async with app:
        shepherd = await start("worker", "shop:app", "-p", "2", "-c", "2")
        both = await children(shepherd, 2)
        handles = [await app.orca("hold").submit(n) for n in range(4)]
        holders = [await gate.arrived(n) for n in range(4)]
        assert set(holders) == set(both)
        victim = holders[0]
        os.kill(victim, signal.SIGKILL)
        theirs = [n for n, pid in enumerate(holders) if pid == victim]
        for n in theirs:
            assert await gate.arrived(n, times=2) != victim
        await gate.let()
        for n, handle in enumerate(handles):
            assert await handle == n
            expected = [EventKind.LOST] * (n in theirs)
            assert await kinds(app, handle.id) == [EventKind.SUBMITTED, *expected, EventKind.COMPLETED]
        assert [len(gate.arrivals[n]) for n in range(4)] == [2 if n in theirs else 1 for n in range(4)]
        await shepherd.line(f"worker process {victim} was ended by SIGKILL")
        await children(shepherd, 3)
        shepherd.send(signal.SIGTERM)
        assert await shepherd.end() == 0
    assert "1 processes replaced" in await shepherd.line("INFO shepherd", count=2)
    assert all(gone(pid) for pid in await children(shepherd, 3))


async def test_two_thousand_tasks_survive_a_kill(place: Any, start: Start) -> None:
    app = place.client()
    async with app:
        shepherd = await start("worker", "shop:app", "-p", "2", "-c", "20")
        victim, _ = await children(shepherd, 2)
        greet = app.orca("greet")
        submitted = await app.submit_many(greet.call(f"n{n}", n) for n in range(2000))
        handles = [submission.handle for submission in submitted]
        await handles[200]
        os.kill(victim, signal.SIGKILL)
        for handle in handles:
            assert (await handle.wait(timeout=30)).success
        completed = Counter(event.task_id for event in await history(app) if event.kind is EventKind.COMPLETED)
        assert completed == Counter(handle.id for handle in handles)


async def test_a_task_that_holds_the_gil_for_three_leases_runs_once(place: Any, start: Start, gate: Any) -> None:
    app = place.client()
    async with app:
        shepherd = await start("worker", "shop:app", "-p", "2")
        await children(shepherd, 2)
        handle = await app.orca("hog").submit(3_000_000)
        pid = await gate.arrived(3_000_000)
        assert (await handle.wait(timeout=30)).value == pid
        assert await kinds(app, handle.id) == [EventKind.SUBMITTED, EventKind.COMPLETED]
        assert gate.arrivals[3_000_000] == [pid]


async def both_have_joined(app: Any) -> None:
    """Wait until two workers have written all that they write unasked."""
    joined = 0
    while joined < 2:
        entries = await app.broker.events.read()
        joined = sum(entry.event.kind is EventKind.WORKER_JOINED for entry in entries)


async def test_without_a_shepherd_its_first_outcome_is_stale(place: Any, start: Start, gate: Any) -> None:
    app = place.client()
    async with app:
        # Both watch each other for a lease before one of them falls silent, and neither has anything to write any more: who
        # stops holding the file's write lock is nobody's to judge, for that stops everybody.
        one, other = await start("worker", "shop:app"), await start("worker", "shop:app")
        await both_have_joined(app)
        handle = await app.orca("hog").submit(3_000_000)
        hogging = await gate.arrived(3_000_000)
        first, second = (one, other) if hogging == one.pid else (other, one)
        assert await gate.arrived(3_000_000, times=2) == second.pid
        assert (await handle.wait(timeout=30)).value == second.pid
        await first.line("was reaped")
        first.send(signal.SIGTERM)
        assert await first.end() == 0
        assert sorted(await kinds(app, handle.id)) == [
            EventKind.SUBMITTED,
            EventKind.COMPLETED,
            EventKind.LOST,
            EventKind.DISCARDED,
        ]
    assert "1 stale" in await first.line("stopped:")


async def two_plain_workers(app: Any, start: Start) -> list[Any]:
    workers = [await start("worker", "shop:app", "-c", "20") for _ in range(2)]
    await both_have_joined(app)
    return workers


async def test_two_thousand_tasks_survive_the_kill_of_a_plain_worker(place: Any, start: Start) -> None:
    app = place.client()
    async with app:
        victim, _ = await two_plain_workers(app, start)
        greet = app.orca("greet")
        handles = [one.handle for one in await app.submit_many(greet.call(f"n{n}", n) for n in range(2000))]
        await handles[200]
        os.kill(victim.pid, signal.SIGKILL)
        for handle in handles:
            assert (await handle.wait(timeout=30)).success
        completed = Counter(event.task_id for event in await history(app) if event.kind is EventKind.COMPLETED)
        assert completed == Counter(handle.id for handle in handles)


@pytest.mark.parametrize("task, number", [("freeze", 5_000), ("hog", 600_000)])
async def test_neither_a_blocked_loop_nor_a_short_hold_of_the_gil_is_death(
    place: Any, start: Start, gate: Any, task: str, number: int
) -> None:
    """Five leases of a blocked event loop; 0.6 lease of a held GIL."""
    app = place.client()
    async with app:
        await two_plain_workers(app, start)
        handle = await app.orca(task).submit(number)
        pid = await gate.arrived(number)
        assert (await handle.wait(timeout=30)).value == pid
        assert await kinds(app, handle.id) == [EventKind.SUBMITTED, EventKind.COMPLETED]
        assert gate.arrivals[number] == [pid]


async def stop_between_writes(place: Any, pid: int) -> None:
    """Stop a process that is not writing: stopped with the file's write lock in its hands, it would stop everybody.

    After a hand-over a worker asks for more at once, and a fetch that takes is a write. So the lock is taken first:
    whoever stands in line for it as the signal comes leaves the line, and asks again when he goes on.
    """
    lock = LockFile(f"{place.path}/shop.db-sessions/write.lock")
    await asyncio.to_thread(lock.acquire)
    try:
        await asyncio.to_thread(stop, pid)
    finally:
        lock.close()


def stop(pid: int) -> None:
    """Stop a process; return when all of its threads stand still."""
    os.kill(pid, signal.SIGSTOP)
    while Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "T":
        time.sleep(0.001)


async def test_a_stopped_process_lapses_and_another_takes_its_task(place: Any, start: Start, gate: Any) -> None:
    app = place.client()
    async with app:
        shepherd = await start("worker", "shop:app", "-p", "2")
        await children(shepherd, 2)
        await both_have_joined(app)
        handle = await app.orca("hold").submit(1)
        stopped = await gate.arrived(1)
        await stop_between_writes(place, stopped)
        try:
            assert await gate.arrived(1, times=2) != stopped
            await gate.let(1)
            assert await handle == 1
        finally:
            os.kill(stopped, signal.SIGCONT)
        await shepherd.line("was reaped: its tasks are stopped")
        assert (await kinds(app, handle.id)).count(EventKind.COMPLETED) == 1
        # in a new session it works on
        again = await app.orca("hold").submit(2)
        await gate.let(2)
        assert await again == 2
        shepherd.send(signal.SIGTERM)
        assert await shepherd.end() == 0


async def test_ctrl_c_stops_all_and_a_second_hurries(place: Any, start: Start, gate: Any) -> None:
    app = place.client()
    async with app:
        shepherd = await start("worker", "shop:app", "-p", "2", "--grace", "1h")
        pids = await children(shepherd, 2)
        handle = await app.orca("hold").submit(1)
        await gate.arrived(1)
        shepherd.send(signal.SIGINT)
        await shepherd.line("stopping on SIGTERM", count=2)
        shepherd.send(signal.SIGINT)
        assert await shepherd.end() == 130
        assert all(gone(pid) for pid in pids)
        (state,) = await app.broker.find([handle.id])
        assert (state.counts.attempt, state.counts.lost, state.counts.released) == (0, 0, 1)
    assert "Traceback" not in shepherd.text


async def test_processes_stop_by_themselves_when_their_shepherd_is_killed(place: Any, start: Start, gate: Any) -> None:
    app = place.client()
    async with app:
        shepherd = await start("worker", "shop:app", "-p", "2")
        pids = await children(shepherd, 2)
        handle = await app.orca("hold").submit(1)
        await gate.arrived(1)
        shepherd.send(signal.SIGKILL)
        await gate.let(1)
        # what they print goes through the same pipe: its end is theirs
        assert await shepherd.end() == -signal.SIGKILL
        assert len(re.findall("stopped: ", shepherd.text)) == len(pids)
        assert await handle == 1
        assert await kinds(app, handle.id) == [EventKind.SUBMITTED, EventKind.COMPLETED]


@pytest.mark.parametrize("ending", ["--burst", "--drain"])
async def test_finite_processes_end_when_the_work_is_done(place: Any, start: Start, ending: str) -> None:
    app = place.client()
    async with app:
        greet = app.orca("greet")
        submitted = await app.submit_many(greet.call(f"n{n}", n) for n in range(500))
        shepherd = await start("worker", "shop:app", "-p", "2", ending)
        assert await shepherd.end() == 0
        for submission in submitted:
            assert (await submission.handle.wait(timeout=1)).success
    assert "500 completed, 0 failed" in await shepherd.line("INFO shepherd", count=2)


@pytest.mark.parametrize(
    "target, url, said",
    [
        ("shp:app", "", "there is no module 'shp'"),
        ("shop:app", "memory://", "lives in one process"),
        ("shop:app", "nats://h", "no installed backend"),
    ],
)
async def test_what_cannot_start_says_so_once(place: Any, start: Start, target: str, url: str, said: str) -> None:
    more = ["--url", url] if url else []
    shepherd = await start("worker", target, "-p", "3", "--log-level", "warning", *more)
    assert await shepherd.end() == 1
    assert len(shepherd.lines) == 1
    assert said in shepherd.text


async def test_a_module_that_kills_its_process_is_told_from_one_that_fails(place: Any, start: Start) -> None:
    (place.path / "segv.py").write_text("import os, signal\nos.kill(os.getpid(), signal.SIGSEGV)\n")
    shepherd = await start("worker", "segv:app", "-p", "3", "--log-level", "warning")
    assert await shepherd.end() == 1
    assert len(shepherd.lines) == 1
    assert "was ended by SIGSEGV before it was ready" in shepherd.text


async def test_a_url_with_a_password_is_not_on_the_command_line_of_the_processes(place: Any, start: Start) -> None:
    other = f"{place.url}&domain=other"
    shepherd = await start("worker", "shop:app", "-p", "1", "--url", other, ORCASTRA_URL="memory://")
    (pid,) = await children(shepherd, 1)
    assert "domain=other" in await shepherd.line("INFO worker")
    assert "sqlite:" not in await asyncio.to_thread(Path(f"/proc/{pid}/cmdline").read_text)
