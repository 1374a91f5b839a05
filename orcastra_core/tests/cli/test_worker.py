"""``orcastra worker`` in one process: when it ends, how it is stopped, what it leaves behind."""

from __future__ import annotations

import asyncio
import json
import signal
from collections.abc import Awaitable, Callable
from typing import Any

from orcastra_core import Orcastra
from orcastra_core.model.event import EventKind
from orcastra_core.model.ids import TaskId
from orcastra_core.model.task_state import State, TaskState

Start = Callable[..., Awaitable[Any]]


async def find(app: Any, task_id: TaskId) -> TaskState:
    (state,) = await app.broker.find([task_id])
    assert isinstance(state, TaskState)
    return state


async def kinds(app: Any, task_id: TaskId) -> list[EventKind]:
    entries = await app.broker.events.read(limit=10_000)
    return [entry.event.kind for entry in entries if entry.event.task_id == task_id]


async def test_burst_runs_what_is_there_and_ends(place: Any, start: Start) -> None:
    app = place.client()
    async with app:
        greeted = await app.orca("greet").submit("Alice", age=25)
        failed = await app.orca("fail").submit(1)
        later = await app.orca("greet").options(delay=3600).submit("Bob", age=1)
        worker = await start("worker", "shop:app", "--burst")
        assert await worker.end() == 0
        assert (await greeted.wait(timeout=10)).value == {"text": "Hello Alice, 25"}
        assert str((await failed.wait(timeout=10)).error).startswith("ValueError: no 1")
        assert (await find(app, later.id)).state is State.DELAYED
    assert "1 completed, 1 failed" in await worker.line("stopped:")
    assert "queues mail, default, 200 at a time" in await worker.line("started")


async def test_drain_stays_for_what_is_delayed(place: Any, start: Start) -> None:
    app = place.client()
    async with app:
        later = await app.orca("greet").options(delay=0.5).submit("Bob", age=1)
        worker = await start("worker", "shop:app", "--drain")
        assert await worker.end() == 0
        assert (await later.wait(timeout=1)).success


async def test_only_the_queues_that_were_asked_for(place: Any, start: Start) -> None:
    app = place.client()
    async with app:
        greeted = await app.orca("greet").submit("Alice", age=25)
        failed = await app.orca("fail").submit(1)
        worker = await start("worker", "shop:app", "--burst", "-q", "mail,bulk", "-q", "mial")
        assert await worker.end() == 0
        assert (await greeted.wait(timeout=10)).success
        assert (await find(app, failed.id)).state is State.READY
    assert "did you mean 'mail'?" in await worker.line("nobody knows a queue 'mial'")
    assert "nobody knows a queue 'bulk'" in worker.text


async def test_sigterm_lets_running_tasks_end_and_hands_the_rest_back_uncounted(
    place: Any, start: Start, gate: Any
) -> None:
    app = place.client()
    async with app:
        ends, stays = await app.orca("hold").submit(1), await app.orca("hold").submit(2)
        worker = await start("worker", "shop:app", "--grace", "0.5", "-c", "2")
        await gate.arrived(1)
        await gate.arrived(2)
        waiting = await app.orca("hold").submit(3)
        worker.send(signal.SIGTERM)
        await worker.line("stopping on SIGTERM")
        await gate.let(1)
        assert await worker.end() == 0
        assert (await ends.wait(timeout=10)).value == 1
        for handle, released in ((stays, 1), (waiting, 0)):
            state = await find(app, handle.id)
            assert state.state is State.READY
            assert state.counts is not None
            assert (state.counts.attempt, state.counts.lost, state.counts.released) == (0, 0, released)
        assert await kinds(app, stays.id) == [EventKind.SUBMITTED, EventKind.RELEASED]
        assert gate.arrivals[3] == []
    assert "1 completed, 0 failed, 1 released" in await worker.line("stopped:")


async def test_a_second_ctrl_c_hurries(place: Any, start: Start, gate: Any) -> None:
    app = place.client()
    async with app:
        handle = await app.orca("hold").submit(1)
        worker = await start("worker", "shop:app", "--grace", "1h")
        await gate.arrived(1)
        worker.send(signal.SIGINT)
        await worker.line("stopping")
        worker.send(signal.SIGINT)
        assert await worker.end() == 130
        assert (await find(app, handle.id)).state is State.READY
    assert "Traceback" not in worker.text


async def test_a_third_ctrl_c_ends_at_once(place: Any, start: Start, gate: Any) -> None:
    """Also where a task blocks the event loop, so that no first or second can be heeded."""
    (place.path / "stuck.py").write_text(
        "import time\nfrom shop import app\n"
        "@app.task(name='stuck')\nasync def stuck(n: int) -> None:\n    print('stuck now', flush=True)\n    time.sleep(3600)\n"
    )
    app: Orcastra = place.client()

    @app.task(name="stuck")
    async def stuck(n: int) -> None:
        raise NotImplementedError

    async with app:
        await stuck.submit(1)
        worker = await start("worker", "stuck:app")
        await worker.line("stuck now")
        ended = asyncio.create_task(worker.end())
        while not ended.done():
            worker.send(signal.SIGINT)
            await asyncio.wait([ended], timeout=0.2)
        assert await ended == 130


async def test_a_thread_that_never_ends_does_not_keep_the_process(place: Any, start: Start, gate: Any) -> None:
    app = place.client()
    async with app:
        handle = await app.orca("block").submit(1)
        worker = await start("worker", "shop:app", "--grace", "0")
        await gate.arrived(1)
        worker.send(signal.SIGTERM)
        assert await worker.end() == 0
        assert "stopped" in worker.text
        state = await find(app, handle.id)
        assert state.state is State.READY


async def test_json_logs_are_json(place: Any, start: Start) -> None:
    worker = await start("worker", "shop:app", "--burst", "--json-logs")
    assert await worker.end() == 0
    entries = [json.loads(line) for line in worker.lines]
    assert [entry["message"].split()[0] for entry in entries] == ["worker", "worker"]
    assert {entry["pid"] for entry in entries} == {worker.pid}


async def test_a_password_in_the_url_is_never_shown(place: Any, start: Start) -> None:
    worker = await start("worker", "shop:app", "--url", "redis://me:hunter2@127.0.0.1:1/0")
    assert await worker.end() == 1
    assert "hunter2" not in worker.text
    assert len(worker.lines) == 1


async def test_a_lease_below_the_least_is_refused_once(place: Any, start: Start) -> None:
    worker = await start("worker", "shop:app", "--lease", "0.001", "--log-level", "error")
    assert await worker.end() == 1
    assert len(worker.lines) == 1
    assert "lease" in worker.text
