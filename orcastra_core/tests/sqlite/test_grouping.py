"""Operations of many callers in one transaction."""

from __future__ import annotations

import asyncio
import sqlite3

import pytest
from sqlite_actors.making import QUEUE, completed, envelope, envelopes, want

from orcastra_core.backends.sqlite import SqliteBroker
from orcastra_core.backends.sqlite.session import SqliteSession
from orcastra_core.backends.sqlite.tx import Tx
from orcastra_core.model.errors import BrokerError, InvalidOption
from orcastra_core.model.published import Stored
from orcastra_core.model.settlement import DONE


async def test_one_operation_that_fails_harms_no_other(broker: SqliteBroker, session: SqliteSession) -> None:
    core = broker._open_core()
    transactions: list[Tx] = []

    def fail(tx: Tx) -> None:
        transactions.append(tx)
        tx.conn.execute("DELETE FROM task")
        raise InvalidOption("no")

    def break_down(tx: Tx) -> None:
        tx.conn.execute("DELETE FROM queue")
        tx.conn.execute("INSERT INTO nowhere VALUES (1)")

    def note(tx: Tx) -> None:
        transactions.append(tx)

    async with asyncio.TaskGroup() as group:
        publishing = [group.create_task(broker.publish(envelopes(3))) for _ in range(3)]
        failing = group.create_task(_outcome(core.write(fail)))
        breaking = group.create_task(_outcome(core.write(break_down)))
        publishing += [group.create_task(broker.publish(envelopes(3))) for _ in range(3)]
        group.create_task(core.write(note))
    assert transactions[0] is transactions[1], "they shared one transaction"
    assert isinstance(failing.result(), InvalidOption)
    broken = breaking.result()
    assert isinstance(broken, BrokerError)
    assert isinstance(broken.__cause__, sqlite3.OperationalError)
    assert all(isinstance(one, Stored) for task in publishing for one in task.result())
    assert len(await session.fetch(want(100), wait=0)) == 18


async def test_a_bad_item_of_a_settle_fails_alone(broker: SqliteBroker, session: SqliteSession) -> None:
    await broker.publish([envelope(), envelope(), envelope()])
    one, two, three = await session.fetch(want(3), wait=0)
    bad = completed(two, bytes(300_000))
    answers = await session.settle([completed(one), bad, completed(three)], number=1)
    assert answers[0] is answers[2] is DONE
    assert type(answers[1]).__name__ == "Failed"
    assert await session.held() == [two.receipt], "it is still held"
    assert await session.settle([completed(two)], number=2) == [DONE]


async def test_queues_made_in_a_transaction_that_was_undone_are_made_again(broker: SqliteBroker) -> None:
    core = broker._open_core()

    def fail(tx: Tx) -> None:
        tx.queue_number(QUEUE)
        raise InvalidOption("no")

    with pytest.raises(InvalidOption):
        await core.write(fail)
    (answer,) = await broker.publish([envelope()])
    assert isinstance(answer, Stored)
    (depth,) = await broker.inspect()
    assert (depth.queue, depth.ready) == (QUEUE, 1)


async def test_many_callers_one_by_one_are_grouped(broker: SqliteBroker) -> None:
    version = "PRAGMA data_version"
    core = broker._open_core()
    (before,) = await core.read(lambda conn: conn.execute(version).fetchone())
    async with asyncio.TaskGroup() as group:
        for one in envelopes(200):
            group.create_task(broker.publish([one]))
    (after,) = await core.read(lambda conn: conn.execute(version).fetchone())
    (depth,) = await broker.inspect([QUEUE])
    assert depth.ready == 200
    assert after - before < 100, "far fewer commits than callers"


async def _outcome(call: object) -> object:
    try:
        return await call  # type: ignore[misc]
    except BrokerError as error:
        return error
    except InvalidOption as error:
        return error
