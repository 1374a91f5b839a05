"""The event log: on by default, off, or full."""

from __future__ import annotations

from typing import Any

import pytest
from core_doubles import at_work, events_of, kinds_of

from orcastra_core import FixedBackoff, Orcastra, RetryPolicy, Snooze, current_context
from orcastra_core.model.errors import TaskFailed
from orcastra_core.model.event import EventKind

SUBMITTED, STARTED, RETRIED = EventKind.SUBMITTED, EventKind.STARTED, EventKind.RETRIED
RELEASED, COMPLETED, DEAD = EventKind.RELEASED, EventKind.COMPLETED, EventKind.DEAD


def make(url: str, events: bool | str = True) -> Orcastra:
    app = Orcastra(url, events=events)

    @app.task(name="fine")
    async def fine() -> None: ...

    @app.task(name="once_more", retry=RetryPolicy(max_attempts=2, backoff=FixedBackoff(0)))
    async def once_more() -> None:
        context = current_context()
        assert context is not None
        if context.attempt == 1:
            raise OSError("a secret that must not be logged")

    @app.task(name="broken")
    async def broken(secret: str) -> None:
        raise ValueError("broken")

    @app.task(name="sleepy")
    async def sleepy() -> None:
        context = current_context()
        assert context is not None
        if not context.envelope.headers.get("x-test-woke") and not woke:
            woke.append(True)
            raise Snooze(0)

    woke: list[bool] = []
    return app


async def run_all(app: Orcastra) -> dict[str, list[EventKind]]:
    kinds: dict[str, list[EventKind]] = {}
    async with app:
        async with at_work(app):
            handles = {name: await app.orca(name).submit() for name in ("fine", "once_more", "sleepy")}
            handles["broken"] = await app.orca("broken").submit("hunter2")
            for name, handle in handles.items():
                if name == "broken":
                    with pytest.raises(TaskFailed):
                        await handle
                else:
                    await handle
        for name, handle in handles.items():
            kinds[name] = await kinds_of(app, handle.id)
    return kinds


async def test_on_by_default(url: str) -> None:
    assert await run_all(make(url)) == {
        "fine": [SUBMITTED, COMPLETED],
        "once_more": [SUBMITTED, RETRIED, COMPLETED],
        "sleepy": [SUBMITTED, RELEASED, COMPLETED],
        "broken": [SUBMITTED, DEAD],
    }


async def test_full_has_the_starts_too(url: str) -> None:
    kinds = await run_all(make(url, "full"))
    assert sorted(kinds["fine"]) == sorted([SUBMITTED, STARTED, COMPLETED])
    assert kinds["once_more"].count(STARTED) == 2
    assert sorted(kinds["broken"]) == sorted([SUBMITTED, STARTED, DEAD])


async def test_off_is_off(url: str) -> None:
    app = make(url, False)
    assert await run_all(app) == {"fine": [], "once_more": [], "sleepy": [], "broken": []}
    async with app:
        assert await events_of(app) == []


async def test_what_events_tell(url: str) -> None:
    app = make(url)
    async with app, at_work(app):
        handle = await app.orca("broken").submit("hunter2")
        await handle.wait(timeout=5)
        await (await app.orca("once_more").submit()).wait(timeout=5)
    async with app:
        events = await events_of(app)
    details: dict[EventKind, Any] = {event.kind: dict(event.detail) for event in events}
    assert details[SUBMITTED] == {"queue": "default", "task": "once_more"}
    assert details[DEAD]["error"] == "ValueError"
    assert "broken" in details[DEAD]["reason"]
    assert details[RETRIED] == {"error": "OSError", "after": 0}
    assert set(details[EventKind.WORKER_JOINED]) == {"pid", "host", "queues"}
    assert details[EventKind.WORKER_LEFT] == {"fenced": False}
    assert "hunter2" not in str(events)
    assert "must not be logged" not in str(events)
    sessions = {event.session for event in events if event.kind is not SUBMITTED}
    assert len(sessions) == 1
    assert None not in sessions
    assert [event.at for event in events if event.task_id == handle.id] == sorted(
        event.at for event in events if event.task_id == handle.id
    )
