"""Clients of a server that is gone: they try again now and then, and not in step."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from redis_rig import Open
from server_rig import insisted, until

from orcastra_core.model.broker_url import BrokerUrl
from orcastra_core.model.errors import BrokerUnavailable
from orcastra_redis import RedisBroker
from orcastra_redis.conformance_servers import Server

CLIENTS = 30


async def test_many_clients_do_not_come_back_in_step(redis: Server) -> None:
    brokers = [RedisBroker(BrokerUrl.parse(redis.url)) for _ in range(CLIENTS)]
    loop = asyncio.get_running_loop()
    came: list[float] = []

    def note(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        came.append(loop.time())
        writer.close()

    try:
        for broker in brokers:
            await broker.open()
        redis.kill()
        stranger = await asyncio.start_server(note, *redis.address)
        await asyncio.sleep(4.0)
        stranger.close()
        await stranger.wait_closed()
        end = came[-1]
        late = [moment for moment in came if moment > end - 2.0]
        assert CLIENTS <= len(late) <= CLIENTS * 5, "each tries again once in 0.5 to 1 s"
        assert len({int(moment / 0.05) for moment in late}) > 10, "in step they would come at three moments or four"
        await redis.start()
        for broker in brokers:
            assert await insisted(broker.inspect) == []
    finally:
        for broker in brokers:
            await broker.close()


async def test_a_client_of_a_server_that_comes_back_is_told_within_a_second(redis: Server, opened: Open) -> None:
    broker = await opened()
    feed = await broker.results.subscribe()
    redis.kill()
    await asyncio.sleep(1.5)
    await redis.start()
    began = asyncio.get_running_loop().time()
    link = broker._open_core().link

    async def heard() -> bool:
        return bool(await link.call("PUBLISH", f"{link.prefix}r:{feed.channel}", b""))

    await until(heard, "it listens again", seconds=3.0)
    assert asyncio.get_running_loop().time() - began < 1.5


async def test_a_channel_that_is_added_while_the_listener_connects_is_heard(
    redis: Server, opened: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    core = (await opened(redis.url))._open_core()
    listener = core.listener
    await listener.stop()
    client = await core.link.reach()
    make, adding = client.pubsub, list[asyncio.Task[None]]()

    def pubsub() -> Any:
        made = make()
        subscribe = made.subscribe

        async def slowly(*channels: str) -> None:
            await subscribe(*channels)
            if not adding:
                adding.append(asyncio.create_task(listener.add("late", lambda message: None)))
                await asyncio.sleep(0)

        made.subscribe = slowly
        return made

    monkeypatch.setattr(client, "pubsub", pubsub)
    listener.start()
    await until(lambda: bool(adding), "it connects")
    await adding[0]


async def test_who_wants_to_be_heard_does_not_wait_for_a_pause(redis: Server, opened: Open) -> None:
    listener = (await opened())._open_core().listener
    redis.kill()
    await until(lambda: listener.error is not None, "it notices")
    await asyncio.sleep(2.0)  # by now its pauses are long
    await redis.start()
    began = asyncio.get_running_loop().time()
    await listener.add("wanted", lambda message: None)
    assert asyncio.get_running_loop().time() - began < 0.4


async def test_a_connection_that_another_call_closes_while_it_is_made(
    redis: Server, opened: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    link = (await opened(redis.url))._open_core().link
    pool = (await link.reach()).connection_pool
    await pool.disconnect()
    connect = pool.connection_class.connect_check_health

    async def closed(connection: Any, **options: Any) -> None:
        await connect(connection, **options)
        if not options.get("check_health", True):
            await connection.disconnect()

    monkeypatch.setattr(pool.connection_class, "connect_check_health", closed)
    monkeypatch.setattr(pool, "ensure_connection", lambda connection: asyncio.sleep(0))
    with pytest.raises(BrokerUnavailable, match="closed while it was made"):
        await link.call("PING")
    monkeypatch.undo()
    assert await link.call("PING") in (b"PONG", True)


async def test_a_pause_ends_when_a_call_is_answered(redis: Server, opened: Open) -> None:
    broker = await opened(redis.url)
    feed = await broker.results.subscribe()
    link, listener = broker._open_core().link, broker._open_core().listener
    redis.kill()
    await until(lambda: listener.error is not None, "it notices")
    await asyncio.sleep(2.0)  # by now its pauses are long
    await redis.start()
    assert await insisted(broker.inspect) == []

    async def heard() -> bool:
        return bool(await link.call("PUBLISH", f"{link.prefix}r:{feed.channel}", b""))

    await until(heard, "whoever was answered is heard at once", seconds=0.3)
