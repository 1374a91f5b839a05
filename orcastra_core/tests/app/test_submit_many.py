"""Many submits in few calls: outcomes align, a bad one harms no other."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from core_doubles import FaultyBroker, at_work, attach, depth, events_of, until

from orcastra_core import Call, Orcastra, Submission
from orcastra_core.model.errors import BodyTooLarge, InvalidArguments, PublishRefused, SerializationError
from orcastra_core.model.event import EventKind
from orcastra_core.plugins import load_broker


def make(url: str) -> tuple[Orcastra, Any]:
    app = Orcastra(url)

    @app.task(name="square")
    async def square(n: int) -> int:
        return n * n

    return app, square


async def test_good_and_bad_mixed_align(url: str) -> None:
    app, square = make(url)

    @app.task(name="anything")
    async def anything(value: Any) -> None: ...

    calls: list[Call[Any]] = [
        square.call(2),
        square.call("two"),
        anything.call(object()),
        square.call(3),
        anything.call("x" * 300_000),
        square.options(priority=1000).call(4),
        square.call(),
        square.call(5),
    ]
    async with app:
        outcomes: list[Submission[Any]] = await app.submit_many(calls)
        assert [outcome.ok for outcome in outcomes] == [True, False, False, True, False, False, False, True]
        assert [type(outcome.error) for outcome in outcomes if not outcome.ok] == [
            InvalidArguments,
            SerializationError,
            BodyTooLarge,
            PublishRefused,
            InvalidArguments,
        ]
        with pytest.raises(InvalidArguments, match=r"'square'.*'n'"):
            _ = outcomes[1].handle
        assert (await depth(app)).ready == 3
        async with at_work(app):
            assert [await outcome.handle for outcome in outcomes if outcome.ok] == [4, 9, 25]


async def test_five_thousand_from_a_generator(url: str) -> None:
    app, square = make(url)
    drawn = 0

    def calls() -> Iterator[Call[int]]:
        nonlocal drawn
        for n in range(5000):
            drawn += 1
            yield square.call(n)

    async with app:
        outcomes = await app.submit_many(calls())
        assert drawn == len(outcomes) == 5000
        assert len({outcome.handle.id for outcome in outcomes}) == 5000
        assert (await depth(app)).ready == 5000
        assert len(await events_of(app, EventKind.SUBMITTED)) == 5000
        async with at_work(app) as worker:
            values = await asyncio.gather(*(outcome.handle for outcome in outcomes[::50]))
            assert values == [n * n for n in range(0, 5000, 50)]
            await outcomes[-1].handle
        assert worker.stats.failed == 0


async def test_in_few_calls() -> None:
    app, square = make("memory://")
    broker = FaultyBroker(load_broker("memory://"))
    attach(app, broker)
    async with app:
        await app.submit_many(square.call(n) for n in range(2500))
        assert broker.batches == [1000, 1000, 500]


async def test_a_batch_is_closed_by_its_bytes_too() -> None:
    app = Orcastra("memory://")

    @app.task
    async def keep(data: bytes) -> None: ...

    broker = FaultyBroker(load_broker("memory://"))
    attach(app, broker)
    async with app:
        await app.submit_many(keep.call(b"x" * 200_000) for _ in range(20))
        assert sum(broker.batches) == 20
        assert max(broker.batches) <= 6, "a batch is about 1 MiB"


async def test_the_next_batch_is_drawn_while_one_is_on_its_way() -> None:
    app, square = make("memory://")
    broker = FaultyBroker(load_broker("memory://"))
    broker.gate = asyncio.Event()
    attach(app, broker)
    drawn = 0

    def calls() -> Iterator[Call[int]]:
        nonlocal drawn
        for n in range(5000):
            drawn += 1
            yield square.call(n)

    async with app:
        submitting = asyncio.create_task(app.submit_many(calls()))
        await until(lambda: broker.batches != [], "the first batch is on its way")
        for _ in range(10):
            await asyncio.sleep(0)
        assert drawn == 2000, "one batch in flight, one drawn, no more"
        broker.gate.set()
        assert len(await submitting) == 5000


async def test_nothing_to_submit(url: str) -> None:
    app, _ = make(url)
    async with app:
        assert await app.submit_many([]) == []


async def test_dedup_inside_a_batch(url: str) -> None:
    app, square = make(url)
    once = square.options(dedup="once")
    async with app:
        outcomes = await app.submit_many(
            [once.call(1), square.call(2), once.call(3), square.options(dedup="b").call(4)]
        )
        assert all(outcome.ok for outcome in outcomes)
        handles = [outcome.handle for outcome in outcomes]
        assert handles[2].id == handles[0].id
        assert [handle.duplicate for handle in handles] == [False, False, True, False]
        assert (await depth(app)).ready == 3
        async with at_work(app):
            assert await handles[2] == 1
            again = await once.submit(6)
            assert not again.duplicate, "the key is free once its holder has ended"
            assert await again == 36


async def test_what_the_generator_raises_comes_through() -> None:
    app, square = make("memory://")

    def calls() -> Iterator[Call[int]]:
        yield square.call(1)
        raise KeyError("the reader's own")

    async with app:
        with pytest.raises(KeyError, match="the reader's own"):
            await app.submit_many(calls())


async def test_bulk_and_single_submits_get_along(url: str) -> None:
    app, square = make(url)
    async with app, at_work(app):
        bulk, single = await asyncio.gather(
            app.submit_many(square.call(n) for n in range(500)),
            asyncio.gather(*(square.submit(n) for n in range(100))),
        )
        assert [await handle for handle in single] == [n * n for n in range(100)]
        assert await bulk[-1].handle == 499 * 499
