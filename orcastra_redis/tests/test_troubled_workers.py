"""Workers amid trouble that a server or a network makes: no task is lost, the log says why, and soon after its end they work."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import TypeAlias

import pytest
from server_rig import Shop, at_work, completions, until

from orcastra_conformance.faults.proxy import Proxy, before
from orcastra_core.model.event import EventKind
from orcastra_redis.conformance_servers import Server

BACK = 3.0
"""Seconds after the end of the trouble within which all of them work."""
LEASE = 1.0
TROUBLE = 2.5
"""Seconds that it lasts: more than two leases."""

Trouble: TypeAlias = Callable[[Server, Proxy], AbstractAsyncContextManager[None]]


@asynccontextmanager
async def read_only(server: Server, proxy: Proxy) -> AsyncIterator[None]:
    async with server.client() as client:
        await client.replicaof("127.0.0.1", "1")  # of nobody: it keeps what it has
        yield
        await client.replicaof("no", "one")


@asynccontextmanager
async def unable_to_save(server: Server, proxy: Proxy) -> AsyncIterator[None]:
    obstacle = server.directory / "dump.rdb"
    obstacle.mkdir()
    async with server.client() as client:
        await client.config_set("save", "3600 1")
        await _save(client, "err")
        yield
        obstacle.rmdir()
        await _save(client, "ok")


async def _save(client: object, expected: str) -> None:
    redis = client
    await redis.bgsave()  # type: ignore[attr-defined]

    async def over() -> bool:
        facts = await redis.info("persistence")  # type: ignore[attr-defined]
        return not facts["rdb_bgsave_in_progress"] and facts["rdb_last_bgsave_status"] == expected

    await until(over, f"the save ends with {expected}")


@asynccontextmanager
async def out_of_memory(server: Server, proxy: Proxy) -> AsyncIterator[None]:
    async with server.client() as client:
        await client.config_set("maxmemory", "1mb")
        yield
        await client.config_set("maxmemory", "0")


@asynccontextmanager
async def connections_killed(server: Server, proxy: Proxy) -> AsyncIterator[None]:
    async with server.client() as client, asyncio.TaskGroup() as group:

        async def kill() -> None:
            while True:
                for kind in ("normal", "pubsub"):
                    await client.client_kill_filter(_type=kind, skipme=True)
                await asyncio.sleep(0.02)

        killing = group.create_task(kill())
        yield
        killing.cancel()


@asynccontextmanager
async def black_hole(server: Server, proxy: Proxy) -> AsyncIterator[None]:
    proxy.swallow()
    yield
    proxy.heal()


@asynccontextmanager
async def all_comes_late(server: Server, proxy: Proxy) -> AsyncIterator[None]:
    proxy.hold()
    yield
    proxy.heal()


@asynccontextmanager
async def nobody_listens(server: Server, proxy: Proxy) -> AsyncIterator[None]:
    proxy.refuse()
    yield
    proxy.heal()


SAYS: dict[Trouble, str] = {
    read_only: "read only replica",
    unable_to_save: "MISCONF",
    out_of_memory: "maxmemory",
    connections_killed: "connecting again",
    black_hole: "imeout",
    all_comes_late: "imeout",
    nobody_listens: "onnect",
}
"""What the log has to say of each."""


@pytest.mark.timeout(60)
@pytest.mark.parametrize("trouble", SAYS, ids=lambda one: one.__name__)
async def test_two_workers_outlive_it(redis: Server, trouble: Trouble, caplog: pytest.LogCaptureFixture) -> None:
    loop = asyncio.get_running_loop()
    async with before(redis.address) as proxy:
        url = f"redis://127.0.0.1:{proxy.address[1]}/0"
        one, two, client = Shop(url, seconds=0.01), Shop(url, seconds=0.01), Shop(redis.url)
        with caplog.at_level(logging.INFO):
            async with (
                one.app, two.app, client.app,
                at_work(one.app, lease=LEASE, concurrency=20), at_work(two.app, lease=LEASE, concurrency=20),
            ):  # fmt: skip
                await one.submit(range(3000))
                await until(lambda: one.ran.total() > 300 and two.ran.total() > 300, "both work")
                async with asyncio.TaskGroup() as group:
                    async with trouble(redis, proxy):
                        amid = [group.create_task(client.submit(range(n, n + 10))) for n in range(3000, 3100, 10)]
                        await asyncio.sleep(TROUBLE)
                    since, ran = loop.time(), (one.ran.total(), two.ran.total())
                    await client.submit(range(3100, 5000))
                    await until(
                        lambda: one.ran.total() > ran[0] + 20 and two.ran.total() > ran[1] + 20,
                        "both work again", seconds=BACK - (loop.time() - since),
                    )  # fmt: skip
                    back = loop.time() - since
                assert all(task.done() for task in amid)
                stored = one.stored | client.stored
                await until(lambda: len(one.ran.keys() | two.ran.keys()) >= len(stored), "all has run", seconds=20)
                await until(lambda: _all_completed(client, stored), "all that was confirmed is completed", seconds=10)
                counted = await completions(client.app.broker)
                assert client.app.broker.events is not None
                kinds = [entry.event.kind for entry in await client.app.broker.events.read(limit=100_000)]
    assert len(one.stored) == 3000
    assert set(counted.values()) == {1}, "nothing was completed twice"
    assert EventKind.LOST not in kinds, "no session was reaped"
    assert not [record for record in caplog.records if record.levelno > logging.WARNING]
    lines = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert SAYS[trouble] in " ".join(lines)
    assert "again" in " ".join(lines)
    print(
        f"{trouble.__name__} for {TROUBLE} s: both at work {back:.2f} s after; {len(client.errors)} submits not confirmed"
    )
    for line in lines:
        print("   ", line)


async def _all_completed(shop: Shop, stored: set[str]) -> bool:
    await asyncio.sleep(0.2)
    return stored <= set(await completions(shop.app.broker))
