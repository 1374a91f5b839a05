"""Tasks that write in the transaction they are settled in, and submits in the caller's own."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from core_doubles import at_work, attach, depth, events_of, kinds_of, until
from core_doubles.transacted import TransactedBroker

from orcastra_core import FixedBackoff, Orcastra, RetryPolicy, Snooze, Until, current_context
from orcastra_core.model.errors import TaskFailed, TaskTimeout, Unsupported
from orcastra_core.model.event import EventKind
from orcastra_core.model.task_state import Cancelled
from orcastra_core.plugins import load_broker


def make(**options: Any) -> tuple[Orcastra, TransactedBroker, Any]:
    app = Orcastra("memory://")
    broker = TransactedBroker(load_broker("memory://"))
    attach(app, broker)

    @app.task(**options)
    async def pay(amount: int, end: str = "") -> int:
        context = current_context()
        assert context is not None
        rows = await context.transaction()
        assert await context.transaction() is rows, "one attempt, one transaction"
        rows.append(amount)
        if end == "raise":
            raise RuntimeError("no")
        if end == "snooze" and not broker.abandoned:
            raise Snooze(0.01)
        if end == "hang":
            await asyncio.Event().wait()
        return amount

    return app, broker, pay


async def test_rows_and_settlement_come_together() -> None:
    app, broker, pay = make()
    async with app, at_work(app) as worker:
        handle = await pay.submit(5)
        assert await handle == 5
        assert broker.rows == [5]
        assert broker.settles == [], "it is settled in its transaction, not once more beside it"
        assert await kinds_of(app, handle.id) == [EventKind.SUBMITTED, EventKind.COMPLETED]
        assert (worker.stats.completed, worker.stats.failed) == (1, 0)


async def test_a_task_that_raises_leaves_no_row() -> None:
    app, broker, pay = make()
    async with app, at_work(app):
        with pytest.raises(TaskFailed, match="no"):
            await (await pay.submit(5, "raise"))
    assert (broker.rows, broker.abandoned) == ([], 1)


async def test_a_snooze_leaves_no_row_of_the_first_time() -> None:
    app, broker, pay = make()
    async with app, at_work(app):
        assert await (await pay.submit(5, "snooze")) == 5
    assert (broker.rows, broker.abandoned) == ([5], 1)


async def test_a_timeout_leaves_no_row() -> None:
    app, broker, pay = make(timeout=0.05)
    async with app, at_work(app):
        with pytest.raises(TaskTimeout):
            await (await pay.submit(5, "hang"))
    assert (broker.rows, broker.abandoned) == ([], 1)


async def test_a_cancelled_one_leaves_no_row() -> None:
    app, broker, pay = make()
    async with app, at_work(app) as worker:
        handle = await pay.submit(5, "hang")
        await until(lambda: worker.stats.fetched == 1, "it runs")
        assert await handle.cancel() is Cancelled.SIGNALLED
        await until(lambda: worker.stats.cancelled == 1, "it was cancelled")
    assert (broker.rows, broker.abandoned) == ([], 1)


async def test_what_broke_a_constraint_fails_the_task() -> None:
    app, broker, pay = make()
    broker.commits = ["broken"]
    async with app, at_work(app) as worker:
        with pytest.raises(TaskFailed, match="the commit is broken"):
            await (await pay.submit(5))
        assert (worker.stats.completed, worker.stats.failed) == (0, 1)
    assert broker.rows == []


async def test_and_is_tried_again_where_the_task_says_so() -> None:
    app, broker, pay = make(retry=RetryPolicy(max_attempts=2, backoff=FixedBackoff(0.0)))
    broker.commits = ["broken"]
    async with app, at_work(app):
        assert await (await pay.submit(5)) == 5
    assert broker.rows == [5]


async def test_a_lost_transaction_is_no_attempt(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("orcastra_core.runtime.executor._LOST_COMMIT", 0.01)
    app, broker, pay = make()
    broker.commits = ["lost"]
    async with app, at_work(app):
        handle = await pay.submit(5)
        assert await handle == 5
        assert [event.kind for event in await events_of(app, EventKind.RELEASED)] == [EventKind.RELEASED]
    assert broker.rows == [5]


@pytest.mark.parametrize("fault", ["unknown", "unheard"])
async def test_without_an_answer_the_commit_is_asked_for_again(fault: str) -> None:
    app, broker, pay = make()
    broker.commits = [fault, fault]
    async with app, at_work(app):
        assert await (await pay.submit(5)) == 5
        await until(lambda: not broker.commits, "both faults happened")
        assert (await depth(app)).running == 0
    assert broker.rows == [5]


async def test_what_came_too_late_leaves_no_row() -> None:
    app, broker, pay = make()
    broker.commits = ["stale"]
    async with app, at_work(app) as worker:
        await pay.submit(5)
        await until(lambda: worker.stats.stale == 1, "it was discarded")
        await until(lambda: not worker.stats.released, "nothing else became of it")
        assert len(await events_of(app, EventKind.DISCARDED)) == 1
    assert broker.rows == []


async def test_a_stop_lets_a_commit_end() -> None:
    app, broker, pay = make()
    broker.commits = ["unknown"] * 3
    async with app:
        async with at_work(app) as worker:
            await pay.submit(5)
            await until(lambda: len(broker.commits) < 3, "it commits")
        assert broker.rows == [5]
        assert worker.stats.completed == 1


async def test_others_have_no_transaction() -> None:
    app = Orcastra("memory://")
    errors: list[Exception] = []

    @app.task
    async def asynchronous() -> None:
        await ask()

    @app.task
    def synchronous() -> None:
        asyncio.run(ask())

    async def ask() -> None:
        context = current_context()
        assert context is not None
        try:
            await context.transaction()
        except Unsupported as error:
            errors.append(error)

    async with app:
        await asynchronous.submit()
        await synchronous.submit()
        await app.worker(until=Until.EMPTY).run()
        with pytest.raises(Unsupported, match="TX_PUBLISH"):
            await asynchronous.submit_within([])
        with pytest.raises(Unsupported, match="TX_PUBLISH"):
            await app.submit_many([asynchronous.call()], transaction=[])
        assert (await depth(app)).ready == 0
    assert sorted(str(error).partition(":")[0] for error in errors) == [
        "only asynchronous tasks in the worker's own process have one",
        "this broker does not offer TX_COMPLETE",
    ]


async def test_submits_in_the_callers_transaction() -> None:
    app, _, pay = make()
    mine: list[Any] = []
    async with app:
        handle = await pay.submit_within(mine, 1)
        outcomes = await app.submit_many([pay.call(2), pay.call("x", "y", "z"), pay.call(3)], transaction=mine)
        assert [outcome.ok for outcome in outcomes] == [True, False, True]
        assert mine == [[pay.name], [pay.name, pay.name]], "a refused one harms no other"
        assert (await depth(app)).ready == 3
        assert len(await events_of(app, EventKind.SUBMITTED)) == 3
        assert handle.id != outcomes[0].handle.id
