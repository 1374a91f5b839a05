"""Middleware: order, replacing, and one that is broken."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import attrs
import pytest
from core_doubles import at_work, depth

from orcastra_core import FixedBackoff, Orcastra, RetryPolicy
from orcastra_core.interfaces.middleware import Middleware
from orcastra_core.model.delivery import Delivery
from orcastra_core.model.envelope import Envelope
from orcastra_core.model.errors import TaskFailed
from orcastra_core.model.published import Published, Refused

Submit = Callable[[Envelope], Awaitable[Published]]
Run = Callable[[], Awaitable[Any]]


class Trace:
    """Notes what passes through it."""

    def __init__(self, name: str, notes: list[str]) -> None:
        self.name = name
        self.notes = notes

    async def on_submit(self, envelope: Envelope, call_next: Submit, /) -> Published:
        self.notes.append(f"{self.name} submit")
        published = await call_next(envelope)
        self.notes.append(f"{self.name} submitted")
        return published

    async def on_run(self, delivery: Delivery, call_next: Run, /) -> Any:
        self.notes.append(f"{self.name} run")
        value = await call_next()
        self.notes.append(f"{self.name} ran")
        return value


def make(url: str, *layers: Middleware) -> tuple[Orcastra, Any]:
    app = Orcastra(url, middleware=layers)

    @app.task(name="double", retry=RetryPolicy(max_attempts=2, backoff=FixedBackoff(0)))
    async def double(n: int) -> int:
        return 2 * n

    @app.task(name="double_in_thread")
    def double_in_thread(n: int) -> int:
        return 2 * n

    return app, double


async def test_the_first_is_the_outermost(url: str) -> None:
    notes: list[str] = []
    app, double = make(url, Trace("outer", notes), Trace("inner", notes))
    async with app, at_work(app):
        assert await (await double.submit(2)) == 4
        assert notes == [
            "outer submit",
            "inner submit",
            "inner submitted",
            "outer submitted",
            "outer run",
            "inner run",
            "inner ran",
            "outer ran",
        ]
        notes.clear()
        assert await (await app.orca("double_in_thread").submit(2)) == 4
        assert notes.count("outer ran") == 1
        notes.clear()
        (outcome,) = await app.submit_many([double.call(3)])
        assert await outcome.handle == 6
        assert notes[0] == "outer submit"


async def test_it_may_change_what_passes(url: str) -> None:
    class Tag(Trace):
        async def on_submit(self, envelope: Envelope, call_next: Submit, /) -> Published:
            return await call_next(attrs.evolve(envelope, headers={"x-test-tag": "seen"}))

        async def on_run(self, delivery: Delivery, call_next: Run, /) -> Any:
            assert isinstance(delivery.envelope, Envelope)
            assert delivery.envelope.headers["x-test-tag"] == "seen"
            return await call_next() + 1

    app, double = make(url, Tag("tag", []))
    async with app, at_work(app):
        assert await (await double.submit(2)) == 5


async def test_it_may_take_the_place_of_what_it_wraps(url: str) -> None:
    class Never(Trace):
        async def on_submit(self, envelope: Envelope, call_next: Submit, /) -> Published:
            return Refused("not today")

    class Instead(Trace):
        async def on_run(self, delivery: Delivery, call_next: Run, /) -> Any:
            return -1

    app, double = make(url, Never("never", []))
    async with app:
        outcomes = await app.submit_many([double.call(1)])
        assert "not today" in str(outcomes[0].error)
        assert (await depth(app)).ready == 0
    app, double = make(url, Instead("instead", []))
    async with app, at_work(app):
        assert await (await double.submit(2)) == -1


async def test_a_broken_one_fails_what_passes_and_nothing_else(url: str) -> None:
    class Broken(Trace):
        async def on_run(self, delivery: Delivery, call_next: Run, /) -> Any:
            await call_next()
            raise ZeroDivisionError("in the middleware")

    app, double = make(url, Broken("broken", []))
    async with app, at_work(app) as worker:
        for _ in range(2):
            with pytest.raises(TaskFailed, match="ZeroDivisionError: in the middleware"):
                await (await double.submit(2))
        assert worker.stats.failed == 4, "retried like any failure"
        assert (await depth(app)).running == 0

    class BrokenSubmit(Trace):
        async def on_submit(self, envelope: Envelope, call_next: Submit, /) -> Published:
            raise ZeroDivisionError("in the middleware")

    app, double = make(url, BrokenSubmit("broken", []))
    async with app:
        with pytest.raises(ZeroDivisionError):
            await double.submit(2)
        with pytest.raises(ZeroDivisionError):
            await app.submit_many([double.call(2)])
        assert (await depth(app)).ready == 0


async def test_it_sees_what_a_task_raises(url: str) -> None:
    class Mend(Trace):
        async def on_run(self, delivery: Delivery, call_next: Run, /) -> Any:
            try:
                return await call_next()
            except ValueError:
                return "mended"

    app, _ = make(url, Mend("mend", []))

    @app.task
    async def fails() -> str:
        raise ValueError

    async with app, at_work(app):
        assert await (await fails.submit()) == "mended"
