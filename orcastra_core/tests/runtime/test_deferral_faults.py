"""Delays through a Scheduler, when something goes wrong between the two stores."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import Any

import pytest
from core_doubles import FaultyBroker, at_work, depth, events_of, kinds_of, until
from core_doubles.deferring import LEAN, DeferringBench

from orcastra_core import Orcastra, RetryLater
from orcastra_core.model.errors import BrokerUnavailable, PublishUnknown
from orcastra_core.model.event import EventKind
from orcastra_core.model.names import SessionId
from orcastra_core.model.published import Published
from orcastra_core.model.schedule import Schedule
from orcastra_core.plugins import load_broker

SUBMITTED, RETRIED, RELEASED = EventKind.SUBMITTED, EventKind.RETRIED, EventKind.RELEASED
COMPLETED, DEAD = EventKind.COMPLETED, EventKind.DEAD


async def test_dying_between_the_two_steps(where: dict[str, Any]) -> None:
    """Put off, but never moved: the task is handed out again, and the Scheduler's copy is taken back."""
    sessions: list[SessionId] = []

    class Dying(FaultyBroker):
        dead = False

        async def call(self, method: str, real: Any) -> Any:
            if method == "settle" and not self.dead:
                self.dead = True
                assert len(await bench.deferred()) == 1, "it was put off first"
                await self.real.expire(sessions[0])
                raise BrokerUnavailable("and there it died")
            return await super().call(method, real)

    bench = DeferringBench(where, broker=Dying(load_broker(where["url"])))
    bench.plan = [RetryLater(3600)]
    async with bench.app as app, at_work(app, on_session=lambda session, lease: sessions.append(session)):
        handle = await bench.work.submit()
        assert await handle == "done"
        await until(lambda: bench.has_deferred(0), "the copy is gone")
        assert [counts.attempt for counts in bench.attempts] == [0, 0], "the attempt that was not settled did not count"
        completed = [event for event in await events_of(app, COMPLETED) if event.task_id == handle.id]
        assert len(completed) == 1
        found = await depth(app)
        assert (found.ready, found.running, found.delayed) == (0, 0, 0)


async def test_dying_between_the_two_steps_and_failing_again(where: dict[str, Any]) -> None:
    """The second holder puts it off anew: one copy, with its own due and count."""
    sessions: list[SessionId] = []

    class Dying(FaultyBroker):
        dead = False

        async def call(self, method: str, real: Any) -> Any:
            if method == "settle" and not self.dead:
                self.dead = True
                await self.real.expire(sessions[0])
                raise BrokerUnavailable("and there it died")
            return await super().call(method, real)

    bench = DeferringBench(where, broker=Dying(load_broker(where["url"])))
    bench.plan = [RetryLater(3600), RetryLater(0.05)]
    async with bench.app as app, at_work(app, on_session=lambda session, lease: sessions.append(session)):
        handle = await bench.work.submit()
        assert await handle == "done"
        assert [counts.attempt for counts in bench.attempts] == [0, 0, 1]
        assert await bench.deferred() == []


@pytest.mark.parametrize("effect", ["before", "after"])
async def test_a_repeated_settle_puts_off_once(where: dict[str, Any], effect: str) -> None:
    """The reply of Moved is lost, and the task has come due before the repeat."""
    broker = FaultyBroker(load_broker(where["url"]))
    bench = DeferringBench(where, broker=broker)
    bench.plan = [RetryLater(0.2)]
    broker.fail("settle", 2, effect=effect)
    async with bench.app as app, at_work(app):
        handle = await bench.work.submit()
        assert await handle == "done"
        assert [counts.attempt for counts in bench.attempts] == [0, 1]
        assert await kinds_of(app, handle.id) == [SUBMITTED, RETRIED, COMPLETED]
        assert await bench.deferred() == []


async def test_a_scheduler_that_cannot_be_reached(where: dict[str, Any]) -> None:
    bench = DeferringBench(where)
    bench.plan = [OSError("one")]
    async with bench.app as app:
        real, failures = bench.scheduler.add, ["before", "after", "before", "after"]

        async def add(batch: Sequence[Schedule], /) -> None:
            failure = failures.pop() if failures else None
            if failure == "before":
                raise BrokerUnavailable("the request was lost")
            await real(batch)
            if failure == "after":
                raise BrokerUnavailable("the reply was lost")

        bench.scheduler.add = add  # type: ignore[method-assign]
        first = await bench.work.options(delay=0.01).submit()
        assert len(failures) == 0
        failures += ["before", "after"]
        async with at_work(app):
            assert await first == "done"
        assert len(bench.attempts) == 2
        assert (await kinds_of(app, first.id)).count(SUBMITTED) == 1


async def test_no_answer_from_the_scheduler(monkeypatch: pytest.MonkeyPatch) -> None:
    from core_doubles.clock import EagerClock

    app = Orcastra(LEAN, scheduler="memory://", clock=EagerClock(time.time()))

    @app.task(name="work")
    async def work() -> None: ...

    async with app:
        scheduler = app._connection.opened.scheduler
        assert scheduler is not None

        async def add(batch: Sequence[Schedule], /) -> None:
            raise BrokerUnavailable("gone")

        monkeypatch.setattr(scheduler, "add", add)
        with pytest.raises(PublishUnknown, match="task work"):
            await work.options(delay=5).submit()


async def test_it_comes_due_before_it_was_moved(where: dict[str, Any]) -> None:
    """The Scheduler fires while Moved is still on its way: the task is not lost."""
    answers: list[Published] = []

    class Slow(FaultyBroker):
        held = False

        async def publish(self, batch: Any, /, *, events: Any = ()) -> Any:
            said = await super().publish(batch, events=events)
            if self.held:
                answers.extend(said)
            return said

        async def call(self, method: str, real: Any) -> Any:
            if method == "settle" and not self.held:
                self.held = True
                await asyncio.sleep(0.15)  # longer than the delay: the promoter has tried
            return await super().call(method, real)

    bench = DeferringBench(where, broker=Slow(load_broker(where["url"])))
    bench.plan = [RetryLater(0.01)]
    async with bench.app as app, at_work(app):
        handle = await bench.work.submit()
        await until(lambda: len(bench.attempts) == 1, "the first attempt")
        await until(lambda: bench.nothing_runs(), "it was moved")
        assert len(bench.attempts) > 1 or len(await bench.deferred()) == 1, "neither here nor there: lost"
        with pytest.raises(TimeoutError):
            await handle.wait(timeout=0.01)
