"""A store that does not answer: nothing is lost, nothing is done twice, and work goes on when it is back."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

import pytest
from core_doubles import FaultyBroker, at_work, attach, depth, events_of, until
from core_doubles.clock import EagerClock

from orcastra_core import Orcastra, Until
from orcastra_core.model.errors import BrokerUnavailable, PublishUnknown
from orcastra_core.model.event import EventKind
from orcastra_core.plugins import load_broker


class Bench:
    """An app over a broker that fails when told to."""

    def __init__(self, url: str) -> None:
        self.app = app = Orcastra(url)
        self.broker = FaultyBroker(load_broker(url))
        attach(app, self.broker)
        self.ran: Counter[int] = Counter()

        @app.task(name="note")
        async def note(n: int) -> int:
            self.ran[n] += 1
            return n

        self.note = note


@pytest.fixture
async def bench(url: str) -> AsyncIterator[Bench]:
    bench = Bench(url)
    async with bench.app:
        yield bench
        assert bench.broker.faults_left == 0, "not all faults happened: the test shows less than it says"


@pytest.mark.parametrize("effect", ["before", "after"])
@pytest.mark.parametrize("times", [1, 3])
async def test_publish(bench: Bench, effect: str, times: int) -> None:
    bench.broker.fail("publish", times, effect=effect)
    handle = await bench.note.submit(1)
    assert not handle.duplicate, "it is its own, whichever try stored it"
    assert (await depth(bench.app)).ready == 1
    async with at_work(bench.app):
        assert await handle == 1
    assert bench.ran == Counter({1: 1})
    assert len(await events_of(bench.app, EventKind.SUBMITTED)) == 1
    assert bench.broker.calls.count("publish") == times + 1


@pytest.mark.parametrize("effect", ["before", "after"])
async def test_publish_of_many(bench: Bench, effect: str) -> None:
    bench.broker.fail("publish", 2, effect=effect)
    outcomes = await bench.app.submit_many(bench.note.call(n) for n in range(1500))
    assert all(outcome.ok for outcome in outcomes)
    assert len({outcome.handle.id for outcome in outcomes}) == 1500
    assert not any(outcome.handle.duplicate for outcome in outcomes)
    assert (await depth(bench.app)).ready == 1500


@pytest.mark.parametrize("effect", ["before", "after"])
@pytest.mark.parametrize("times", [1, 2])
async def test_fetch(bench: Bench, effect: str, times: int) -> None:
    outcomes = await bench.app.submit_many(bench.note.call(n) for n in range(20))
    bench.broker.fail("fetch", times, effect=effect)
    async with at_work(bench.app, concurrency=50):
        for n, outcome in enumerate(outcomes):
            assert await outcome.handle == n
    assert bench.ran == Counter(range(20))
    assert (await depth(bench.app)).running == 0


@pytest.mark.parametrize("effect", ["before", "after"])
@pytest.mark.parametrize("times", [1, 3])
async def test_settle_is_repeated_under_its_number(bench: Bench, effect: str, times: int) -> None:
    bench.broker.fail("settle", times, effect=effect)
    async with at_work(bench.app) as worker:
        handle = await bench.note.submit(1)
        assert await handle == 1
        await until(lambda: bench.broker.faults_left == 0, "all faults happened")
        await until(lambda: len(bench.broker.settles) == times + 1, "it was repeated once more")
        second = await bench.note.submit(2)
        assert await second == 2
        await until(lambda: len(bench.broker.settles) == times + 2, "the next batch was settled")
    numbers = [number for _, number, _ in bench.broker.settles]
    assert numbers == [1] * (times + 1) + [2]
    batches = {
        tuple(item.delivery.receipt for item in batch) for _, number, batch in bench.broker.settles if number == 1
    }
    assert len(batches) == 1, "the repeat has the same batch"
    assert worker.stats.stale == 0
    assert bench.ran == Counter([1, 2])
    completed = [event.task_id for event in await events_of(bench.app, EventKind.COMPLETED)]
    assert completed == [handle.id, second.id]


async def test_outcomes_gather_while_a_settle_is_repeated(bench: Bench) -> None:
    bench.broker.fail("settle", 3)
    async with at_work(bench.app):
        outcomes = await bench.app.submit_many(bench.note.call(n) for n in range(300))
        for n, outcome in enumerate(outcomes):
            assert await outcome.handle == n
    assert bench.ran == Counter(range(300))
    numbers = [number for _, number, _ in bench.broker.settles]
    assert numbers == sorted(numbers)
    assert set(numbers) == set(range(1, max(numbers) + 1)), "each number in turn"


async def test_everything_at_once(bench: Bench) -> None:
    for method, effect in (
        ("publish", "after"),
        ("fetch", "after"),
        ("fetch", "before"),
        ("settle", "after"),
        ("settle", "before"),
        ("open_session", "before"),
        ("sweep", "before"),
        ("signals", "before"),
        ("publish", "before"),
    ):
        bench.broker.fail(method, 1, effect=effect)
    async with at_work(bench.app):
        outcomes = await bench.app.submit_many(bench.note.call(n) for n in range(100))
        for n, outcome in enumerate(outcomes):
            assert await outcome.handle == n
        await until(lambda: bench.broker.faults_left == 0, "all faults happened")
    assert bench.ran == Counter(range(100))
    completed = [event.task_id for event in await events_of(bench.app, EventKind.COMPLETED)]
    assert len(completed) == len(set(completed)) == 100


async def test_a_session_that_cannot_be_opened_is_tried_again(bench: Bench) -> None:
    bench.broker.fail("open_session", 3)
    handle = await bench.note.submit(5)
    async with at_work(bench.app):
        assert await handle == 5


async def test_an_outage_ends_no_running_task(bench: Bench) -> None:
    app, begun, go_on, stopped = bench.app, asyncio.Event(), asyncio.Event(), list[int]()

    @app.task(name="long")
    async def long() -> str:
        begun.set()
        try:
            await go_on.wait()
        except asyncio.CancelledError:
            stopped.append(1)
            raise
        return "done"

    async with at_work(app):
        handle = await long.submit()
        await begun.wait()
        for method in ("fetch", "sweep", "signals", "settle"):
            bench.broker.fail(method, 2)
        await until(lambda: bench.broker._faults["sweep"] == [], "sweeps have failed", seconds=5)
        go_on.set()
        assert await handle == "done"
        await bench.note.submit(1)
        await until(lambda: bench.broker.faults_left <= 2, "the rest has failed too")
        bench.broker._faults.clear()
    assert stopped == []


async def test_trouble_is_said_once_and_so_is_its_end(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "orcastra")
    bench.broker.fail("settle", 4)
    async with at_work(bench.app):
        await (await bench.note.submit(1))
        await until(lambda: "settling works again" in caplog.text, "it says that it works again")
    said = [record.getMessage() for record in caplog.records if record.getMessage().startswith("settling failed")]
    assert len(said) == 1
    assert "the request was lost" in said[0]


async def test_no_answer_for_as_long_as_patience_lasts() -> None:
    clock = EagerClock()
    app = Orcastra("memory://", clock=clock)
    broker = FaultyBroker(load_broker("memory://"))
    attach(app, broker)

    @app.task(name="note")
    async def note(n: int) -> None: ...

    async with app:
        broker.fail("publish", 10_000, effect="after")
        begun = clock.passed
        with pytest.raises(PublishUnknown, match=r"task note: the store gave no answer; [0-9a-f-]{36} may") as caught:
            await note.submit(1)
        assert isinstance(caught.value.__cause__, BrokerUnavailable)
        assert 10 <= clock.passed - begun < 13
        assert max(clock.slept) <= 2.0
        assert clock.slept[0] <= 0.05
        tries = broker.calls.count("publish")
        assert 5 < tries < 40
        outcomes = await app.submit_many([note.call(1), note.call(2)])
        assert [type(outcome.error) for outcome in outcomes] == [PublishUnknown] * 2
        broker._faults.clear()
        assert (await depth(app)).ready == 3, "it had been stored, once each"


async def test_an_error_that_no_repeat_mends_is_not_repeated() -> None:
    from orcastra_core.model.errors import AuthenticationFailed
    from orcastra_core.model.published import Unknown

    app = Orcastra("memory://", clock=EagerClock())

    class Locked(FaultyBroker):
        async def publish(self, batch: Any, /, *, events: Any = ()) -> Any:
            self.calls.append("publish")
            return [Unknown(AuthenticationFailed("no"))] * len(batch)

    broker = Locked(load_broker("memory://"))
    attach(app, broker)

    @app.task
    async def note() -> None: ...

    async with app:
        with pytest.raises(PublishUnknown) as caught:
            await note.submit()
        assert isinstance(caught.value.__cause__, AuthenticationFailed)
    assert broker.calls.count("publish") == 1


async def test_a_broken_broker_is_heard_of(url: str) -> None:
    """It raises what the contract does not allow: whoever submits gets that, and the next one is not stuck."""
    app = Orcastra(url)

    class Broken(FaultyBroker):
        broken = True

        async def publish(self, batch: Any, /, *, events: Any = ()) -> Any:
            if self.broken:
                raise KeyError("a bug in a backend")
            return await super().publish(batch, events=events)

    broker = Broken(load_broker(url))
    attach(app, broker)

    @app.task
    async def note() -> None: ...

    async with app:
        async with asyncio.timeout(2):
            with pytest.raises(KeyError, match="a bug in a backend"):
                await note.submit()
            broker.broken = False
            await note.submit()
        assert (await depth(app)).ready == 1


async def test_results_that_cannot_be_read_for_a_while(bench: Bench) -> None:
    assert bench.broker.results is not None
    real, failures = bench.broker.results.get, [1, 1, 1]

    async def get(ids: Any, /) -> Any:
        if failures:
            failures.pop()
            raise BrokerUnavailable("reading failed")
        return await real(ids)

    bench.broker.results.get = get  # type: ignore[method-assign]
    handle = await bench.note.submit(3)
    waiting = asyncio.create_task(handle.wait(timeout=5))
    async with asyncio.timeout(5):
        await bench.app.worker(until=Until.EMPTY).run()
    assert (await waiting).value == 3
    assert not failures
