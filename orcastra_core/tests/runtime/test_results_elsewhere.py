"""Results in another store than the queue's."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from core_doubles import at_work, kinds_of, until

from orcastra_core import Cancelled, Orcastra, Until, current_context
from orcastra_core.model.errors import ResultTimeout, TaskFailed, Unsupported
from orcastra_core.model.event import EventKind
from orcastra_core.model.result import Absence, Outcome, Result


class Shop:
    """An app whose results are in another store."""

    def __init__(self, **options: Any) -> None:
        self.app = app = Orcastra(**{"url": "memory://", "results": "memory://", **options})

        @app.task(name="double")
        async def double(n: int) -> int:
            return 2 * n

        @app.task(name="fail")
        async def fail() -> None:
            raise LookupError("no such thing")

        @app.task(name="in_a_transaction")
        async def in_a_transaction() -> None:
            context = current_context()
            assert context is not None
            await context.transaction()

        self.double, self.fail, self.in_a_transaction = double, fail, in_a_transaction

    async def here(self, task_id: str) -> Result | Absence:
        """What the queue's own store has."""
        assert self.app.broker.results is not None
        (found,) = await self.app.broker.results.get([task_id])  # type: ignore[list-item]
        return found

    async def there(self, task_id: str) -> Result | Absence:
        """What the other store has."""
        assert self.app.results is not None
        (found,) = await self.app.results.get([task_id])  # type: ignore[list-item]
        return found


async def test_they_are_pushed_from_there_and_kept_there() -> None:
    shop = Shop()
    async with shop.app, at_work(shop.app):
        handle = await shop.double.submit(21)
        assert await handle == 42
        found = await shop.there(handle.id)
        assert isinstance(found, Result)
        assert found.outcome is Outcome.COMPLETED
        assert isinstance(await shop.here(handle.id), Absence), "the queue's store keeps none"
        failing = await shop.fail.submit()
        with pytest.raises(TaskFailed, match="no such thing"):
            await failing
        assert await kinds_of(shop.app, handle.id) == [EventKind.SUBMITTED, EventKind.COMPLETED]


async def test_what_the_other_store_does_not_know_may_still_come() -> None:
    shop = Shop()
    async with shop.app:
        handle = await shop.double.submit(1)
        with pytest.raises(ResultTimeout):
            await handle.wait(timeout=0.05)
        assert await shop.there(handle.id) is Absence.PENDING
        waiting = asyncio.create_task(handle.wait(timeout=5))
        await shop.app.worker(until=Until.EMPTY).run()
        assert (await waiting).value == 2


async def test_each_process_waits_at_its_own_channel(tmp_path: Any) -> None:
    where = {"url": f"sqlite:///{tmp_path}/queue.db", "results": f"sqlite:///{tmp_path}/results.db"}
    submitting, working = Shop(**where), Shop(**where)
    async with submitting.app, working.app, at_work(working.app):
        assert await (await submitting.double.submit(4)) == 8
        outcomes = await submitting.app.submit_many(submitting.double.call(n) for n in range(50))
        assert [await outcome.handle for outcome in outcomes] == [2 * n for n in range(50)]


async def test_a_cancelled_one_is_told_of_there() -> None:
    shop = Shop()
    async with shop.app:
        handle = await shop.double.submit(1)
        waiting = asyncio.create_task(handle.wait(timeout=5))
        assert await handle.cancel() is Cancelled.REMOVED
        assert not (await waiting).success
        found = await shop.there(handle.id)
        assert isinstance(found, Result)
        assert found.outcome is Outcome.CANCELLED


async def test_delays_and_results_may_both_be_elsewhere() -> None:
    shop = Shop(url="memory://?without=delay,schedules", scheduler="memory://")
    async with shop.app, at_work(shop.app):
        assert await (await shop.double.options(delay=0.05).submit(3)) == 6


async def test_no_transaction_reaches_both() -> None:
    shop = Shop()
    async with shop.app, at_work(shop.app):
        with pytest.raises(TaskFailed, match=r"TX_COMPLETE|another store"):
            await (await shop.in_a_transaction.submit())


async def test_a_store_without_results_is_refused() -> None:
    shop = Shop(results="memory://?without=results")
    with pytest.raises(Unsupported, match="RESULTS"):
        async with shop.app:
            pass


async def test_they_are_pruned_there() -> None:
    shop = Shop()
    async with shop.app, at_work(shop.app):
        assert shop.app.results is not None
        handle = await shop.double.options(result_ttl=0.01).submit(1)
        assert await handle == 2
        await until(lambda: _gone(shop, handle.id), "its TTL is over")


async def _gone(shop: Shop, task_id: str) -> bool:
    return isinstance(await shop.there(task_id), Absence)
