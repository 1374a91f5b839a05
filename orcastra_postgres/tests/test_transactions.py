"""Tasks submitted in the caller's own transaction, by each client library; and tasks that write in the one that settles them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from typing import Any

import asyncpg
import pytest
from server_rig import at_work, until

from orcastra_core import Context, Orcastra, RetryPolicy, current_context
from orcastra_core.model.errors import InvalidOption, PublishRefused, TaskFailed, Unsupported
from orcastra_postgres.conformance_servers import Server


@asynccontextmanager
async def by_asyncpg(server: Server) -> AsyncIterator[tuple[Any, Callable[[str], Any]]]:
    connection = await server.client()
    try:
        async with connection.transaction():
            yield connection, connection.execute
    finally:
        await connection.close()


@asynccontextmanager
async def by_an_asyncpg_pool(server: Server) -> AsyncIterator[tuple[Any, Callable[[str], Any]]]:
    pool = asyncpg.create_pool(server.url(), min_size=1, max_size=1)
    async with pool, pool.acquire() as connection, connection.transaction():
        yield connection, connection.execute


@asynccontextmanager
async def by_psycopg(server: Server) -> AsyncIterator[tuple[Any, Callable[[str], Any]]]:
    psycopg = pytest.importorskip("psycopg")
    connection = await psycopg.AsyncConnection.connect(server.url(), autocommit=True)
    try:
        async with connection.transaction():
            yield connection, connection.execute
    finally:
        await connection.close()


@asynccontextmanager
async def by_sqlalchemy(server: Server, driver: str = "asyncpg") -> AsyncIterator[tuple[Any, Callable[[str], Any]]]:
    pytest.importorskip("sqlalchemy")
    from sqlalchemy import text
    from sqlalchemy.ext.asyncio import create_async_engine

    engine = create_async_engine(server.url().replace("postgresql:", f"postgresql+{driver}:"))
    try:
        async with engine.begin() as connection:
            yield connection, lambda statement: connection.execute(text(statement))
    finally:
        await engine.dispose()


@asynccontextmanager
async def by_sqlalchemy_on_psycopg(server: Server) -> AsyncIterator[tuple[Any, Callable[[str], Any]]]:
    pytest.importorskip("psycopg")
    async with by_sqlalchemy(server, "psycopg") as both:
        yield both


@asynccontextmanager
async def by_a_sqlalchemy_session(server: Server) -> AsyncIterator[tuple[Any, Callable[[str], Any]]]:
    pytest.importorskip("sqlalchemy")
    from sqlalchemy import text
    from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine

    engine = create_async_engine(server.url().replace("postgresql:", "postgresql+asyncpg:"))
    try:
        async with AsyncSession(engine) as session, session.begin():
            yield session, lambda statement: session.execute(text(statement))
    finally:
        await engine.dispose()


WAYS = (
    by_asyncpg, by_an_asyncpg_pool, by_psycopg, by_sqlalchemy, by_sqlalchemy_on_psycopg, by_a_sqlalchemy_session,
)  # fmt: skip
Way = Callable[[Server], AbstractAsyncContextManager[tuple[Any, Callable[[str], Any]]]]


def running() -> Context:
    """The context of the task that runs here."""
    context = current_context()
    assert context is not None
    return context


class RollBack(Exception):  # noqa: N818 - no error
    """Ends a transaction."""


class Store:
    """An app with orders in a table of its own.

    Attributes:
        app: The app.
        ship: Notes that it ran.
        ran: What ran.
    """

    def __init__(self, url: str) -> None:
        self.app = Orcastra(url)
        self.ran: list[int] = []

        @self.app.task(name="ship", queue="q")
        async def ship(order: int) -> int:
            self.ran.append(order)
            return order

        @self.app.task(name="bill", queue="q", retry=RetryPolicy(max_attempts=3))
        async def bill(order: int, how: str) -> str:
            connection = await running().transaction()
            await connection.execute("insert into orders values ($1)", order)
            self.ran.append(order)
            if how == "fail" or (how == "fail once" and self.ran.count(order) == 1):
                raise ValueError("no money")
            if how == "break a rule":
                await connection.execute("set constraints all deferred")
                await connection.execute("insert into rules values ($1)", order)
            await self.ship.submit_within(connection, order + 1000)
            return how

        self.ship: Any = ship
        self.bill: Any = bill


@pytest.fixture
async def store(postgres: Server) -> AsyncIterator[Store]:
    """An app on the test's own server, with its tables."""
    await postgres.ask("create table orders (number int)")
    await postgres.ask("create table allowed (number int primary key)")
    await postgres.ask("create table rules (number int references allowed deferrable)")
    store = Store(postgres.url())
    async with store.app:
        yield store


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
async def test_it_is_there_with_the_commit_and_not_before(store: Store, postgres: Server, way: Way) -> None:
    async with at_work(store.app):
        async with way(postgres) as (connection, execute):
            await execute("insert into orders values (1)")
            handle = await store.ship.submit_within(connection, 1)
            outcomes = await store.app.submit_many([store.ship.call(n) for n in (2, 3)], transaction=connection)
            assert all(outcome.ok for outcome in outcomes)
            await asyncio.sleep(0.3)
            assert store.ran == [], "nobody runs it yet"
            assert await store.app.broker.find([handle.id]) == [None]
        assert (await handle.wait(timeout=5)).success
        await until(lambda: sorted(store.ran) == [1, 2, 3], "all of them run")
    assert await postgres.ask("select number from orders") == [(1,)]


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
async def test_after_a_rollback_it_never_was(store: Store, postgres: Server, way: Way) -> None:
    handles = []
    with suppress(RollBack):
        async with way(postgres) as (connection, execute):
            await execute("insert into orders values (1)")
            handles.append(await store.ship.options(dedup="one").submit_within(connection, 1))
            raise RollBack
    assert await store.app.broker.find([handles[0].id]) == [None]
    assert [one.ready for one in await store.app.broker.inspect()] in ([], [0])
    assert await postgres.ask("select * from orders") == []
    again = await store.ship.options(dedup="one").submit(2)
    async with at_work(store.app):
        assert await again == 2, "its dedup key is free"


async def test_what_is_refused_leaves_the_transaction_to_the_caller(store: Store, postgres: Server) -> None:
    held = await store.ship.options(dedup="one").submit(1)
    async with by_asyncpg(postgres) as (connection, execute):
        handle = await store.ship.options(dedup="one").submit_within(connection, 2)
        assert handle.id == held.id, "the one that holds the key"
        with pytest.raises(PublishRefused):
            await store.ship.options(priority=32_000).submit_within(connection, 3)
        await execute("insert into orders values (7)")
    assert await postgres.ask("select number from orders") == [(7,)]


async def test_a_dedup_key_that_is_being_taken_is_waited_for(store: Store, postgres: Server) -> None:
    ship = store.ship.options(dedup="one")
    async with by_asyncpg(postgres) as (connection, _):
        first = await ship.submit_within(connection, 1)
        second = asyncio.create_task(ship.submit(2))
        await asyncio.sleep(0.2)
        assert not second.done()
    assert (await second).id == first.id


async def test_what_is_no_transaction_is_refused(store: Store, postgres: Server) -> None:
    connection = await postgres.client()
    for wrong in (connection, object(), None, "postgresql://"):
        with pytest.raises((InvalidOption, Unsupported)):
            await store.ship.submit_within(wrong, 1)
    await connection.close()
    assert [one.ready for one in await store.app.broker.inspect()] in ([], [0])


async def test_a_task_writes_in_the_transaction_that_settles_it(store: Store, postgres: Server) -> None:
    async with at_work(store.app):
        assert await (await store.bill.submit(1, "well")) == "well"
        await until(lambda: store.ran == [1, 1001], "its follow-up runs")
    assert await postgres.ask("select number from orders") == [(1,)]


async def test_rows_of_an_attempt_that_failed_are_gone(store: Store, postgres: Server) -> None:
    async with at_work(store.app):
        assert await (await store.bill.submit(1, "fail once")) == "fail once"
        with pytest.raises(TaskFailed, match="no money"):
            await (await store.bill.submit(2, "fail"))
        await until(lambda: store.ran.count(1001) == 1, "one follow-up")
    assert store.ran.count(1) == 2
    assert store.ran.count(2) == 3
    assert store.ran.count(1002) == 0
    assert await postgres.ask("select number from orders") == [(1,)]


async def test_rows_that_break_a_rule_at_the_commit_fail_the_task(store: Store, postgres: Server) -> None:
    async with at_work(store.app):
        with pytest.raises(TaskFailed, match="violates foreign key"):
            await (await store.bill.submit(1, "break a rule"))
    assert await postgres.ask("select number from orders") == []
    assert store.ran.count(1001) == 0


async def test_a_task_that_was_taken_away_writes_nothing(store: Store, postgres: Server) -> None:
    entered, go = asyncio.Event(), asyncio.Event()

    @store.app.task(name="late", queue="q")
    async def late() -> None:
        connection = await running().transaction()
        await connection.execute("insert into orders values (1)")
        entered.set()
        await go.wait()

    task: Any = late  # its context is not submitted
    handle = await task.submit()
    other = Orcastra(postgres.url())
    async with at_work(store.app, lease=1.0):
        await entered.wait()
        ((session,),) = await postgres.ask("select id from orcastra.session")
        async with other:
            assert await other.broker.expire(session) == 1
        go.set()
        assert (await handle.wait(timeout=10)).success
    assert await postgres.ask("select number from orders") == [(1,)], "once, by the second attempt"


async def test_through_a_transaction_lost_amid_it_the_rows_are_written_once(store: Store, postgres: Server) -> None:
    begun: list[int] = []

    @store.app.task(name="cut", queue="q", retry=RetryPolicy(max_attempts=3))
    async def cut() -> None:
        connection = await running().transaction()
        await connection.execute("insert into orders values (1)")
        begun.append(running().attempt)
        if len(begun) == 1:
            await postgres.ask("select pg_terminate_backend($1)", connection.get_server_pid())

    async with at_work(store.app, lease=2.0):
        task: Any = cut
        await (await task.submit())
    assert len(begun) == 2
    assert await postgres.ask("select number from orders") == [(1,)]
