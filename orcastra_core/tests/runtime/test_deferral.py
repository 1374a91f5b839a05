"""Delays on a broker that keeps none: through a Scheduler, in this store or in another."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import Any

import attrs
import pytest
from core_doubles import FaultyBroker, at_work, depth, kinds_of, until
from core_doubles.deferring import LEAN, DeferringBench

from orcastra_core import Cancelled, Orcastra, RetryLater, Snooze, Until
from orcastra_core.model.counts import Counts
from orcastra_core.model.envelope import Envelope
from orcastra_core.model.errors import TaskCancelled, Unsupported
from orcastra_core.model.event import EventKind
from orcastra_core.model.ids import IdFactory
from orcastra_core.model.names import QueueName, TaskName
from orcastra_core.model.profile import Profile
from orcastra_core.model.schedule import Schedule

SUBMITTED, RETRIED, RELEASED = EventKind.SUBMITTED, EventKind.RETRIED, EventKind.RELEASED
COMPLETED, DEAD = EventKind.COMPLETED, EventKind.DEAD


async def test_a_delayed_submit(where: dict[str, Any]) -> None:
    bench = DeferringBench(where)
    async with bench.app as app:
        handle = await bench.work.options(delay=0.1, priority=3).submit()
        (schedule,) = await bench.deferred()
        assert str(schedule.id) == schedule.envelope.id == handle.id
        assert schedule.envelope.due is None
        assert schedule.envelope.priority == 3
        assert schedule.envelope.counts == Counts()
        assert schedule.due == pytest.approx(time.time() + 0.1, abs=0.1)
        assert (await depth(app)).ready == 0
        waiting = asyncio.create_task(handle.wait(timeout=5))
        async with at_work(app):
            assert (await waiting).value == "done", "it is pending, not unknown, while the Scheduler has it"
        assert await bench.deferred() == []
        assert await kinds_of(app, handle.id) == [SUBMITTED, COMPLETED]


async def test_delayed_submits_in_bulk(where: dict[str, Any]) -> None:
    bench = DeferringBench(where)
    async with bench.app as app:
        calls = [bench.work.options(delay=0.05).call(), bench.work.call(), bench.work.options(delay=3600).call()]
        outcomes = await app.submit_many(calls)
        assert [outcome.ok for outcome in outcomes] == [True] * 3
        async with at_work(app):
            assert [await outcome.handle for outcome in outcomes[:2]] == ["done", "done"]
        assert [one.envelope.id for one in await bench.deferred()] == [outcomes[2].handle.id]


async def test_a_bulk_submit_goes_in_few_calls(where: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    bench = DeferringBench(where)
    async with bench.app as app:
        calls: list[tuple[str, int]] = []
        publish, add = app.broker.publish, bench.scheduler.add

        async def publishing(batch: Sequence[Envelope], /, **options: Any) -> Any:
            calls.append(("publish", len(batch)))
            return await publish(batch, **options)

        async def adding(batch: Sequence[Schedule], /) -> None:
            calls.append(("add", len(batch)))
            await add(batch)

        monkeypatch.setattr(app.broker, "publish", publishing)
        monkeypatch.setattr(bench.scheduler, "add", adding)
        later = bench.work.options(delay=3600)
        outcomes = await app.submit_many((later if n % 3 else bench.work).call() for n in range(300))
        assert all(outcome.ok for outcome in outcomes)
        assert sorted(calls) == [("add", 200), ("publish", 100)]
        deferred = [outcome.handle.id for n, outcome in enumerate(outcomes) if n % 3]
        assert {one.envelope.id for one in await bench.scheduler.page(limit=300)} == set(deferred)


async def test_retries_go_through_the_scheduler(where: dict[str, Any]) -> None:
    bench = DeferringBench(where)
    bench.plan = [OSError("one"), RetryLater(0.02), OSError("three")]
    async with bench.app as app:
        handle = await bench.work.submit()
        async with at_work(app) as worker:
            assert await handle == "done"
        assert [counts.attempt for counts in bench.attempts] == [0, 1, 2, 3]
        assert bench.moments[1] - bench.moments[0] >= 0.045
        assert await kinds_of(app, handle.id) == [SUBMITTED, RETRIED, RETRIED, RETRIED, COMPLETED]
        assert worker.stats.stale == 0
        assert await bench.deferred() == []
        found = await depth(app)
        assert (found.ready, found.running, found.delayed) == (0, 0, 0)


async def test_what_the_scheduler_holds_meanwhile(where: dict[str, Any]) -> None:
    bench = DeferringBench(where)
    bench.plan = [RetryLater(3600)]
    async with bench.app as app, at_work(app):
        handle = await bench.work.submit()
        await until(lambda: bench.has_deferred(1), "the retry was put off")
        (schedule,) = await bench.deferred()
        assert schedule.envelope.id == handle.id
        assert schedule.trigger is None
        assert schedule.envelope.counts == Counts(attempt=1)
        assert schedule.due == pytest.approx(time.time() + 3600, abs=2)
        with pytest.raises(TimeoutError):
            await handle.wait(timeout=0.3)


async def test_a_snooze_counts_no_attempt(where: dict[str, Any]) -> None:
    bench = DeferringBench(where)
    bench.plan = [Snooze(0.02), Snooze(0.02)]
    async with bench.app as app, at_work(app):
        handle = await bench.work.submit()
        assert await handle == "done"
        assert [counts.attempt for counts in bench.attempts] == [0, 0, 0]
        assert await kinds_of(app, handle.id) == [SUBMITTED, RELEASED, RELEASED, COMPLETED]


async def test_an_unknown_task(where: dict[str, Any]) -> None:
    bench = DeferringBench(where)
    envelope = Envelope(IdFactory()(), QueueName("default"), TaskName("unknown"), b"\x82\x80\xa0")
    async with bench.app as app, at_work(app, unknown_task_grace=0.3):
        await app.broker.publish([envelope])
        result = await app.handle(envelope.id).wait(timeout=5)
        assert "no worker knew a task named 'unknown'" in str(result.error)
        assert app.broker.dead_letters is not None
        (letter,) = await app.broker.dead_letters.page()
        assert letter.counts.released >= 1


async def test_exhausted_retries_end_among_the_dead_letters(where: dict[str, Any]) -> None:
    bench = DeferringBench(where)
    bench.plan = [OSError(str(n)) for n in range(9)]
    async with bench.app as app, at_work(app):
        handle = await bench.work.submit()
        result = await handle.wait(timeout=5)
        assert "OSError: 3" in str(result.error)
        assert app.broker.dead_letters is not None
        (letter,) = await app.broker.dead_letters.page()
        assert letter.reason == "gave up after 4 attempts: 3"
        assert await bench.deferred() == []


async def test_without_delay_nothing_goes_there(where: dict[str, Any]) -> None:
    bench = DeferringBench(where)
    bench.plan = [RetryLater(0), Snooze(0)]
    added: list[Any] = []
    async with bench.app as app:
        real = bench.scheduler.add

        async def add(batch: Sequence[Schedule], /) -> None:
            added.extend(batch)
            await real(batch)

        bench.scheduler.add = add  # type: ignore[method-assign]
        async with at_work(app):
            assert await (await bench.work.submit()) == "done"
    assert added == []


async def test_cancelling_what_the_scheduler_has(where: dict[str, Any]) -> None:
    bench = DeferringBench(where)
    bench.plan = [RetryLater(3600)]
    async with bench.app as app, at_work(app) as worker:
        submitted = await bench.work.options(delay=3600).submit()
        retried = await bench.work.submit()
        await until(lambda: bench.has_deferred(2), "both are put off")
        for handle in (submitted, retried):
            waiting = asyncio.create_task(handle.wait(timeout=5))
            await asyncio.sleep(0.01)
            assert await handle.cancel() is Cancelled.REMOVED
            assert isinstance((await waiting).error, TaskCancelled)
            assert (await kinds_of(app, handle.id))[-1] is EventKind.CANCELLED
        assert await bench.deferred() == []
        assert await retried.cancel() in (Cancelled.TOO_LATE, Cancelled.UNKNOWN)
        assert worker.stats.fetched == 1


async def test_a_worker_until_drained_waits_for_them(where: dict[str, Any]) -> None:
    bench = DeferringBench(where)
    bench.plan = [OSError("one"), OSError("two")]
    async with bench.app as app:
        await bench.work.options(delay=0.1).submit()
        await app.schedule("recurring", bench.work.call(), "interval:3600")
        async with asyncio.timeout(5):
            stats = await app.worker(until=Until.DRAINED).run()
        assert stats.completed == 1
    assert len(bench.attempts) == 3


async def test_a_delay_with_a_dedup_key_is_refused(where: dict[str, Any]) -> None:
    bench = DeferringBench(where)
    async with bench.app as app:
        with pytest.raises(Unsupported, match="holds no dedup key"):
            await bench.work.options(delay=5, dedup="x").submit()
        assert await bench.deferred() == []
        await bench.work.options(dedup="x").submit()
        assert (await depth(app)).ready == 1


async def test_a_dedup_key_stays_held_while_a_retry_is_put_off(where: dict[str, Any]) -> None:
    bench = DeferringBench(where)
    bench.plan = [RetryLater(0.15)]
    async with bench.app as app, at_work(app):
        first = await bench.work.options(dedup="x").submit()
        await until(lambda: bench.has_deferred(1), "the retry was put off")
        await until(lambda: bench.nothing_runs(), "and moved")
        second = await bench.work.options(dedup="x").submit()
        assert second.id == first.id
        assert await second == "done"
        third = await bench.work.options(dedup="x").submit()
        assert third.id != first.id
        assert await third == "done"
    assert len(bench.attempts) == 3


class Ahead:
    """A clock that goes ahead of ours."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds

    def now(self) -> float:
        return time.time() + self.seconds

    def monotonic(self) -> float:
        return time.monotonic()

    async def sleep(self, seconds: float, /) -> None:
        await asyncio.sleep(seconds)


async def test_due_is_judged_by_the_schedulers_store() -> None:
    """Its clock is an hour ahead of ours; the queue's is not."""
    from orcastra_core.backends.memory import MemoryBroker
    from orcastra_core.model.broker_url import BrokerUrl

    class Elsewhere(FaultyBroker):
        async def open(self) -> Profile:
            return attrs.evolve(await self.real.open(), clock_offset=3600.0)

    bench = DeferringBench({"url": LEAN, "scheduler": "memory://"})
    bench.app._connection._scheduling = Elsewhere(MemoryBroker(BrokerUrl.parse("memory://"), clock=Ahead(3600.0)))
    bench.plan = [OSError("one")]
    async with bench.app as app:
        begun = asyncio.get_running_loop().time()
        handle = await bench.work.options(delay=0.1).submit()
        (schedule,) = await bench.deferred()
        assert schedule.due == pytest.approx(time.time() + 3600.1, abs=0.1)
        async with at_work(app):
            assert await handle == "done"
        assert bench.moments[0] - begun >= 0.095, "not an hour early"
        assert bench.moments[1] - bench.moments[0] >= 0.045


async def test_a_broker_with_delay_keeps_its_own_beside_a_scheduler_elsewhere() -> None:
    """Recurring schedules live elsewhere, delays here: both are promoted."""
    bench = DeferringBench({"url": "memory://", "scheduler": "memory://"})
    bench.plan = [OSError("one")]
    async with bench.app as app, at_work(app):
        assert await (await bench.work.options(delay=0.05).submit()) == "done"
        assert len(bench.attempts) == 2
        await app.schedule("often", bench.work.call(), "interval:0.1")
        assert [one.id for one in await bench.deferred()] == ["often"]
        await until(lambda: len(bench.attempts) >= 3, "the schedule fired")


async def test_a_scheduler_must_offer_schedules() -> None:
    app = Orcastra(LEAN, scheduler="memory://?without=schedules")
    with pytest.raises(Unsupported, match="SCHEDULES"):
        async with app:
            pass
