"""Behind a pgbouncer in transaction mode: with a direct connection to be notified by, or by looking now and then."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from urllib.parse import quote

import pytest
from postgres_rig import Open
from server_rig import QUEUE, Shop, at_work, make, until

from orcastra_core.model.delivery import Want
from orcastra_core.model.errors import InvalidOption
from orcastra_core.model.published import STORED
from orcastra_postgres import conformance_ground
from orcastra_postgres.conformance_ground import Ground
from orcastra_postgres.conformance_pgbouncer import Bouncer
from orcastra_postgres.conformance_servers import Server


@pytest.fixture
async def bouncer(ground: Ground, postgres: Server) -> AsyncIterator[Bouncer]:
    """One with fewer connections to the server than it has clients."""
    if conformance_ground.bouncer() is None:
        pytest.skip("no pgbouncer")
    bouncer = Bouncer(ground, postgres, pool=2)
    await bouncer.start()
    yield bouncer
    bouncer.kill()


async def test_many_clients_share_few_connections(bouncer: Bouncer, postgres: Server) -> None:
    url = f"{bouncer.url()}?pooler=1&poll=0.1"
    shops = [Shop(url) for _ in range(4)]
    async with shops[0].app, shops[1].app, shops[2].app, shops[3].app, at_work(shops[2].app), at_work(shops[3].app):
        async with asyncio.TaskGroup() as group:
            for number, shop in enumerate(shops):
                group.create_task(shop.submit(range(number * 500, number * 500 + 500)))
        await until(lambda: len(shops[2].ran + shops[3].ran) == 2000, "all of them were run", seconds=20)
        ((connections,),) = await postgres.ask(
            "select count(*) from pg_stat_activity where backend_type = 'client backend' and pid <> pg_backend_pid()"
        )
        assert connections <= 2
    assert sum(len(shop.stored) for shop in shops) == 2000
    assert set((shops[2].ran + shops[3].ran).values()) == {1}


async def test_it_leaves_nothing_with_connections_that_others_use_next(bouncer: Bouncer, opened: Open) -> None:
    broker = await opened(f"{bouncer.url()}?pooler=1&schema=shop&synchronous_commit=off&poll=0.1")
    session = await broker.open_session([QUEUE], lease=2.0)
    assert await broker.publish([make.envelope()]) == [STORED]
    assert len(await session.fetch(Want(1, [(QUEUE, 1)]), wait=1.0)) == 1
    for name, value in (("synchronous_commit", "on"), ("enable_seqscan", "on"), ("search_path", '"$user", public')):
        for _ in range(3):
            assert await bouncer.ask(f"show {name}") == [(value,)]
    assert await bouncer.ask("select count(*) from pg_prepared_statements") == [(0,)]
    assert await bouncer.ask("select count(*) from pg_locks where locktype = 'advisory'") == [(0,)]
    await session.leave()


@pytest.mark.parametrize("direct", [True, False])
async def test_a_waiting_fetch_hears_of_work(bouncer: Bouncer, postgres: Server, opened: Open, direct: bool) -> None:
    more = f"listen_dsn={quote(postgres.url(), safe='')}&poll=30" if direct else "poll=0.2"
    url = f"{bouncer.url()}?pooler=1&{more}"
    broker, other = await opened(url), await opened(url)
    session = await broker.open_session([QUEUE], lease=5.0)
    waiting = asyncio.create_task(session.fetch(Want(1, [(QUEUE, 1)]), wait=10.0))
    await asyncio.sleep(0.3)
    began = asyncio.get_running_loop().time()
    assert await other.publish([make.envelope()]) == [STORED]
    assert len(await waiting) == 1
    assert asyncio.get_running_loop().time() - began < 1.0
    await session.leave()


async def test_one_that_is_restarted_is_come_back_to(bouncer: Bouncer) -> None:
    shop = Shop(f"{bouncer.url()}?pooler=1&poll=0.1&timeout=2&connect_timeout=2")
    async with shop.app, at_work(shop.app, lease=2.0):
        await shop.submit(range(50))
        await until(lambda: len(shop.ran) == 50, "the worker works")
        bouncer.kill()
        await asyncio.sleep(0.5)
        await bouncer.start()
        await shop.submit(range(50, 100))
        await until(lambda: len(shop.ran) == 100, "it goes on")
    assert set(shop.ran.values()) == {1}


async def test_transactions_that_do_not_see_what_others_commit_are_refused(
    bouncer: Bouncer, postgres: Server, opened: Open
) -> None:
    await postgres.ask("alter role current_user set default_transaction_isolation = 'repeatable read'")
    bouncer.kill()  # its connections are from before
    await bouncer.start()
    with pytest.raises(InvalidOption, match=r"repeatable read here.*ALTER ROLE"):
        await opened(f"{bouncer.url()}?pooler=1")
    broker = await opened(postgres.url())  # a connection of its own says what it needs
    assert await broker.publish([make.envelope()]) == [STORED]
