"""What the options of a submit do."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from core_doubles import at_work, depth, until

from orcastra_core import Context, Dedup, DedupMode, Orcastra, current_context
from orcastra_core.model.envelope import Envelope


def make(url: str) -> tuple[Orcastra, Any, list[Envelope]]:
    app = Orcastra(url)
    seen: list[Envelope] = []

    @app.task(name="look", queue="sights", priority=1, timeout=30, result_ttl=60)
    async def look(n: int = 0) -> int:
        context = current_context()
        assert context is not None
        seen.append(context.envelope)
        return n

    return app, look, seen


async def test_defaults_and_what_replaces_them(url: str) -> None:
    app, look, seen = make(url)
    async with app, at_work(app, queues=["sights", "other"]):
        await (await look.submit())
        options = look.options(
            queue="other",
            priority=5,
            timeout=timedelta(seconds=7),
            result_ttl=9,
            order_by="me",
            headers={"x-mine-trace": [1, 2]},
            expires=60,
        )
        await (await options.submit(1))
    plain, given = seen
    assert (plain.queue, plain.priority, plain.timeout, plain.result_ttl) == ("sights", 1, None, None)
    assert (given.queue, given.priority, given.timeout, given.result_ttl) == ("other", 5, 7, 9)
    assert given.order_by == "me"
    assert dict(given.headers) == {"x-mine-trace": [1, 2]}
    assert given.expires is not None
    assert given.submitted_at is not None
    assert abs(given.expires - given.submitted_at - 60) < 1


async def test_later_options_replace_earlier_ones(url: str) -> None:
    app, look, seen = make(url)
    soon = datetime.now(UTC) + timedelta(seconds=50)
    async with app, at_work(app):
        await (await look.options(expires=900).options(expires=soon).submit())
        await (await look.options(expires=soon).options(expires=900).submit())
        await (await look.options(delay=900).options(delay=None).submit())
        await (await look.options(dedup="x").options(dedup=None).submit())
        await (await look.options(order_by="x").options(order_by=None).submit())
    assert seen[0].expires == pytest.approx(soon.timestamp(), abs=0.01)
    assert seen[1].expires is not None
    assert seen[1].expires > soon.timestamp() + 100
    assert seen[2].due is None
    assert seen[3].dedup is None
    assert seen[4].order_by is None


async def test_delayed_by_seconds_by_a_timedelta_and_to_a_moment(url: str) -> None:
    app, look, _ = make(url)
    loop = asyncio.get_running_loop()
    async with app, at_work(app):
        begun = loop.time()
        now = datetime.now(UTC)
        handles = [
            await look.options(delay=0.1).submit(1),
            await look.options(delay=timedelta(seconds=0.1)).submit(2),
            await look.options(at=now + timedelta(seconds=0.1)).submit(3),
        ]
        assert (await depth(app, "sights")).delayed == 3
        assert [await handle for handle in handles] == [1, 2, 3]
        assert 0.09 <= loop.time() - begun < 1.0, "neither early nor a promoter's whole pause late"
        past = await look.options(at=now - timedelta(days=1)).submit(4)
        assert await past == 4


async def test_what_expired_is_not_started(url: str) -> None:
    app, look, seen = make(url)
    async with app:
        handle = await look.options(expires=datetime.now(UTC) - timedelta(seconds=1)).submit()
        fresh = await look.options(expires=60).submit(2)
        async with at_work(app):
            result = await handle.wait(timeout=5)
            assert "expired before it was started" in str(result.error)
            assert await fresh == 2
        assert len(seen) == 1
        assert app.broker.dead_letters is not None
        (letter,) = await app.broker.dead_letters.page()
        assert letter.reason == "expired before it was started"


async def test_dedup_modes(url: str) -> None:
    app, look, _ = make(url)
    alive = look.options(dedup="alive")
    until_start = look.options(dedup=Dedup("until start", DedupMode.UNTIL_START))
    window = look.options(dedup=Dedup("window", DedupMode.WINDOW, window=60))
    async with app:
        first = [await kind.submit() for kind in (alive, until_start, window)]
        again = [await kind.submit() for kind in (alive, until_start, window)]
        assert [handle.id for handle in again] == [handle.id for handle in first]
        assert all(handle.duplicate for handle in again)
        elsewhere = await alive.options(queue="other").submit()
        assert not elsewhere.duplicate, "a key is the queue's own"
        async with at_work(app, queues=["sights"]):
            for handle in first:
                await handle
            third = [await kind.submit() for kind in (alive, until_start, window)]
        assert [handle.duplicate for handle in third] == [False, False, True]
        assert third[2].id == first[2].id


async def test_fifty_racers_for_one_key(url: str) -> None:
    app, look, seen = make(url)
    async with app, at_work(app):
        handles = await asyncio.gather(*(look.options(dedup="one").submit(n) for n in range(50)))
        assert len({handle.id for handle in handles}) == 1
        assert sum(not handle.duplicate for handle in handles) == 1
        values = await asyncio.gather(*handles)
        assert len(set(values)) == 1
        await until(lambda: len(seen) == 1, "one task ran")


async def test_the_child_of_a_task_names_its_parent(url: str) -> None:
    app, look, seen = make(url)

    @app.task(name="parent")
    async def parent() -> str:
        await (await look.submit())
        await app.submit_many([look.call(5)])
        context = current_context()
        assert isinstance(context, Context)
        return context.id

    async with app, at_work(app):
        await (await look.submit())
        ident = await (await parent.submit())
        await until(lambda: len(seen) == 3, "all looked")
    assert [envelope.parent for envelope in seen] == [None, ident, ident]


async def test_outside_a_task_there_is_no_context() -> None:
    assert current_context() is None
