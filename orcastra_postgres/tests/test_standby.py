"""A server that can only be read is no place to stay: a standby that took an address over, a primary that stepped down."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from postgres_rig import Open
from server_rig import Shop, at_work, make, until

from orcastra_core.model.errors import BrokerUnavailable
from orcastra_core.model.published import STORED, Unknown
from orcastra_postgres.conformance_servers import Server

BACK = 5.0
"""Seconds after the failover within which work goes on."""


@pytest.fixture
async def standby(postgres: Server) -> AsyncIterator[Server]:
    """One that follows the test's server."""
    server = await postgres.standby("hot_standby_feedback=on", "wal_receiver_status_interval=1")
    yield server
    server.kill()


class Front:
    """An address that leads to one server or another, as a virtual IP does. Connections that are there stay where they are."""

    def __init__(self, server: Server) -> None:
        self.leads_to = server
        self._pumps: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Front:
        self._listener = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = int(self._listener.sockets[0].getsockname()[1])
        return self

    async def __aexit__(self, *_: object) -> None:
        self._listener.close()
        for pump in self._pumps:
            pump.cancel()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            other_reader, other_writer = await asyncio.open_connection(*self.leads_to.address)
        except OSError:
            writer.close()
            return
        for source, sink in ((reader, other_writer), (other_reader, writer)):
            pump = asyncio.create_task(_pump(source, sink))
            self._pumps.add(pump)
            pump.add_done_callback(self._pumps.discard)


async def _pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    try:
        while data := await source.read(65536):
            sink.write(data)
            await sink.drain()
    except OSError:
        return
    finally:
        sink.close()


async def in_step(primary: Server, standby: Server) -> None:
    """Wait until the standby has all that the primary has."""
    ((end,),) = await primary.ask("select pg_current_wal_flush_lsn()")

    async def there() -> bool:
        return (await standby.ask("select pg_last_wal_replay_lsn() >= $1::pg_lsn", end)) == [(True,)]

    await until(there, "the standby has caught up")


async def test_it_cannot_be_opened(postgres: Server, standby: Server, opened: Open) -> None:
    await opened()
    await in_step(postgres, standby)
    with pytest.raises(BrokerUnavailable, match=r"read.only") as refused:
        await opened(standby.url())
    assert refused.value.retryable


async def test_one_that_took_an_address_over_is_left_again(postgres: Server, standby: Server) -> None:
    async with Front(postgres) as front:
        shop = Shop(f"postgresql://postgres@127.0.0.1:{front.port}/postgres?timeout=2&connect_timeout=2")
        async with shop.app, at_work(shop.app, lease=2.0):
            await shop.submit(range(20))
            await until(lambda: len(shop.ran) == 20, "the worker works")
            front.leads_to = standby
            await in_step(postgres, standby)
            await end_clients(postgres)
            await until(lambda: visited(standby), "the worker comes to the standby")
            (answer,) = await shop.app.broker.publish([make.envelope("other")])
            assert isinstance(answer, Unknown)
            assert isinstance(answer.error, BrokerUnavailable)
            front.leads_to = postgres  # and nobody ends what goes to the standby
            await until(lambda: stores(shop), "the client is back", seconds=BACK)
            await shop.submit(range(20, 40))
            await until(lambda: len(shop.ran) == 40, "the worker is back", seconds=BACK)
            await until(lambda: gone(standby), "nothing of it is left at the standby", seconds=BACK)
    assert set(shop.ran.values()) == {1}


async def test_a_primary_that_steps_down_is_left_for_the_new_one(postgres: Server, standby: Server) -> None:
    hosts = f"127.0.0.1:{postgres.port},127.0.0.1:{standby.port}"
    shop = Shop(f"postgresql://postgres@{hosts}/postgres?target_session_attrs=read-write&timeout=2&connect_timeout=2")
    async with shop.app, at_work(shop.app, lease=2.0):
        await shop.submit(range(20))
        await until(lambda: len(shop.ran) == 20, "the worker works")
        await in_step(postgres, standby)
        postgres.kill()
        await standby.ask("select pg_promote()")
        began = asyncio.get_running_loop().time()
        numbers = iter(range(1000))
        async with asyncio.timeout(BACK):
            while len(shop.stored) == 20:
                number = next(numbers)
                await shop.submit(range(100 + number, 101 + number))
        await until(lambda: len(shop.ran) > 20, "it works at the new one", seconds=BACK)
        print(f"back at work {asyncio.get_running_loop().time() - began:.2f} s after the failover")
    assert set(shop.ran.values()) == {1}


async def test_one_that_becomes_read_only_is_waited_for(postgres: Server) -> None:
    shop = Shop(f"{postgres.url()}?timeout=2&connect_timeout=2")
    async with shop.app, at_work(shop.app, lease=2.0):
        await shop.submit(range(20))
        await until(lambda: len(shop.ran) == 20, "the worker works")
        await postgres.ask("alter database postgres set default_transaction_read_only = on")
        await end_clients(postgres)
        await asyncio.sleep(1.0)
        (answer,) = await shop.app.broker.publish([make.envelope("other")])
        assert isinstance(answer, Unknown)
        assert isinstance(answer.error, BrokerUnavailable)
        await postgres.ask(
            "alter database postgres reset default_transaction_read_only",
            server_settings={"default_transaction_read_only": "off"},
        )
        await shop.submit(range(20, 40))
        await until(lambda: len(shop.ran) == 40, "it goes on", seconds=BACK)
    assert set(shop.ran.values()) == {1}


async def stores(shop: Shop) -> bool:
    return await shop.app.broker.publish([make.envelope("other")]) == [STORED]


OURS = "select pid from pg_stat_activity where application_name like 'orcastra%'"


async def visited(server: Server) -> bool:
    return bool(await server.ask(OURS))


async def gone(server: Server) -> bool:
    return not await server.ask(OURS)


async def end_clients(server: Server) -> None:
    await server.ask(f"select pg_terminate_backend(pid) from ({OURS}) x")
