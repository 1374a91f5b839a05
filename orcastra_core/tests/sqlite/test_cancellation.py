"""Calls cancelled after every number of steps: whole, or not at all, and nothing stranded."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest
from sqlite_actors.making import QUEUE, completed, envelopes, want

from orcastra_conformance.engine.steps import cancelled_after, growing_steps
from orcastra_core.backends.sqlite import SqliteBroker
from orcastra_core.backends.sqlite.session import SqliteSession
from orcastra_core.backends.sqlite.tx import Tx
from orcastra_core.model.errors import BrokerUnavailable
from orcastra_core.model.published import Duplicate, Stored
from orcastra_core.model.settlement import DONE, STALE

STEPS = growing_steps(300)


class Hold:
    """Keeps the writer's thread busy, so that a test knows what has begun and what has not."""

    def __init__(self, broker: SqliteBroker) -> None:
        self._begun = asyncio.Event()
        self._go_on = threading.Event()
        loop = asyncio.get_running_loop()

        def work(tx: Tx) -> None:
            loop.call_soon_threadsafe(self._begun.set)
            self._go_on.wait()

        self._task = asyncio.create_task(broker._open_core().write(work))

    async def __aenter__(self) -> None:
        await self._begun.wait()

    async def __aexit__(self, *exc: object) -> None:
        self._go_on.set()
        await self._task


async def test_a_cancelled_publish_is_stored_once_or_not_at_all(broker: SqliteBroker) -> None:
    for steps in STEPS:
        batch = envelopes(3)
        await cancelled_after(steps, broker.publish(batch))
        again = await broker.publish(batch)
        assert len({type(one) for one in again}) == 1, "all of it or nothing"
        found = await broker.find([e.id for e in batch])
        assert all(found)
    (depth,) = await broker.inspect([QUEUE])
    assert depth.ready == 3 * len(STEPS)


async def test_a_publish_that_has_not_begun_is_withdrawn(broker: SqliteBroker) -> None:
    batch = envelopes(3)
    async with Hold(broker):
        await cancelled_after(5, broker.publish(batch))
    assert {type(one) for one in await broker.publish(batch)} == {Stored}


async def test_a_cancelled_fetch_strands_nothing(broker: SqliteBroker, session: SqliteSession) -> None:
    for number, steps in enumerate(STEPS, 1):
        batch = envelopes(4)
        await broker.publish(batch)
        cut = await cancelled_after(steps, session.fetch(want(4), wait=0))
        got = [*(cut.value or ())] or [*await session.fetch(want(4), wait=0)]
        assert [one.envelope.id for one in got] == [e.id for e in batch], f"after {steps} steps"
        assert sorted(await session.held()) == sorted(one.receipt for one in got)
        assert await session.settle([completed(one) for one in got], number=number) == [DONE] * 4
        assert await session.held() == []


async def test_what_a_cancelled_fetch_took_comes_with_the_next(broker: SqliteBroker, session: SqliteSession) -> None:
    """The answer was on its way to a caller that was gone: commit first, then the cancellation."""
    batch = envelopes(5)
    await broker.publish(batch)
    writer = broker._open_core()._writer
    delivered = writer.deliver
    on_its_way: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
    writer.deliver = lambda outcomes: writer.call_soon(on_its_way.set_result, outcomes)  # type: ignore[method-assign]
    fetching = asyncio.create_task(session.fetch(want(3), wait=0))
    outcomes = await on_its_way
    fetching.cancel()
    writer.deliver = delivered  # type: ignore[method-assign]
    writer.deliver(outcomes)
    with pytest.raises(asyncio.CancelledError):
        await fetching
    assert len(await session.held()) == 3
    again = [*await session.fetch(want(2), wait=0)]
    assert [one.envelope.id for one in again] == [e.id for e in batch[:2]], "within what is asked for"
    again += await session.fetch(want(5), wait=0)
    assert [one.envelope.id for one in again] == [e.id for e in batch[:3]], "then the rest of what was not seen"
    again += await session.fetch(want(5), wait=0)
    assert [one.envelope.id for one in again] == [e.id for e in batch], "and then what is new"
    assert {one.counts.released + one.counts.lost for one in again} == {0}


async def test_a_cancelled_settle_repeated_gets_the_first_answer(broker: SqliteBroker, session: SqliteSession) -> None:
    for number, steps in enumerate(STEPS, 1):
        batch = envelopes(3)
        await broker.publish(batch)
        got = await session.fetch(want(3), wait=0)
        settlements = [completed(one) for one in got]
        await cancelled_after(steps, session.settle(settlements, number=number))
        assert await session.settle(settlements, number=number) == [DONE] * 3, f"after {steps} steps"
        assert await session.settle(settlements, number=number) == [DONE] * 3
    entries = await broker.events.read(limit=10_000)
    assert len(entries) == 3 * len(STEPS), "and took effect once"
    (depth,) = await broker.inspect([QUEUE])
    assert (depth.ready, depth.running) == (0, 0)


async def test_the_last_eight_answers_are_kept_and_older_numbers_are_stale(
    broker: SqliteBroker, session: SqliteSession
) -> None:
    await broker.publish(envelopes(9))
    batches = [[completed(one)] for one in await session.fetch(want(9), wait=0)]
    for number, batch in enumerate(batches, 1):
        assert await session.settle(batch, number=number) == [DONE]
    for number, batch in enumerate(batches[1:], 2):
        assert await session.settle(batch, number=number) == [DONE]
    assert await session.settle(batches[0], number=1) == [STALE]


async def test_a_cancelled_open_session_leaves_no_session_behind(broker: SqliteBroker) -> None:
    for steps in STEPS:
        cut = await cancelled_after(steps, broker.open_session([QUEUE], lease=10.0))
        if cut.value is not None:
            await cut.value.leave()
    core = broker._open_core()
    await core.write(lambda tx: None)  # behind the last of them
    rows = await core.read(lambda conn: conn.execute("SELECT id FROM session").fetchall())
    assert rows == []
    assert [name for name in core.place.names() if name.endswith(".session")] == []


async def test_after_a_commit_of_unknown_outcome_the_next_fetch_asks_the_store(
    broker: SqliteBroker, session: SqliteSession
) -> None:
    batch = envelopes(3)
    await broker.publish(batch)
    writer = broker._open_core()._writer
    delivered = writer.deliver

    def lose(outcomes: list[Any]) -> None:
        delivered([(call, None, OSError("the answer was lost")) for call, _, _ in outcomes])

    writer.deliver = lose  # type: ignore[method-assign]
    with pytest.raises(BrokerUnavailable, match="the answer was lost"):
        await session.fetch(want(3), wait=0)
    writer.deliver = delivered  # type: ignore[method-assign]
    assert len(await session.held()) == 3
    again = await session.fetch(want(3), wait=0)
    assert [one.envelope.id for one in again] == [e.id for e in batch]
    assert {type(one) for one in await broker.publish(batch)} == {Duplicate}
