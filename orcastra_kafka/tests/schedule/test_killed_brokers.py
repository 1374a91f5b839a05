"""Brokers that die amid firing: what is due is fired once all the same."""

from __future__ import annotations

import asyncio

import pytest
from kafka_rig import Open
from schedule_rig import PLAN, deferred, fired, recurring
from server_rig import until

from orcastra_core.model.errors import BrokerError
from orcastra_kafka import KafkaBroker
from orcastra_kafka.conformance_servers import Ground, Server

TOTAL = 1500


async def promote_for_ever(broker: KafkaBroker, done: list[int], troubles: list[BrokerError]) -> None:
    while True:
        try:
            done.append((await broker.scheduler.promote(broker, limit=20, plan=PLAN)).done)
        except BrokerError as error:
            troubles.append(error)
            await asyncio.sleep(0.1)


async def fire_all(brokers: list[KafkaBroker], amid: asyncio.Event) -> list[BrokerError]:
    """Have all promote until nothing is left."""
    done, troubles = list[int](), list[BrokerError]()
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(promote_for_ever(broker, done, troubles)) for broker in brokers]
        await until(lambda: sum(done) > TOTAL // 10, "they fire", seconds=30)
        amid.set()

        async def empty() -> bool:
            try:
                return not await brokers[0].scheduler.page(limit=2000)
            except BrokerError:
                return False

        await until(empty, "nothing is left", seconds=60)
        for task in tasks:
            task.cancel()
    assert sum(done) <= TOTAL, "none was reported twice"
    return troubles


@pytest.mark.timeout(150)
async def test_the_broker_is_killed_and_comes_back(kafka: Server, opened: Open) -> None:
    url = f"{kafka.url}/?levels=1&partitions=2&timeout=3"
    brokers = [await opened(url) for _ in range(2)]
    schedules = [deferred() for _ in range(TOTAL)]
    await brokers[0].scheduler.add(schedules)
    amid = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        firing = group.create_task(fire_all(brokers, amid))
        await amid.wait()
        await kafka.restart()
    assert firing.result(), "they noticed"
    counts = await fired(brokers[0])
    assert counts.keys() == {one.envelope.id for one in schedules}
    assert counts.total() == TOTAL


@pytest.mark.timeout(240)
async def test_a_leader_is_killed(ground: Ground, opened: Open) -> None:
    """Three brokers, three copies of each record: one of the brokers dies for good."""
    cluster = await ground.cluster(3)
    try:
        hosts = ",".join(f"127.0.0.1:{one.port}" for one in cluster)
        url = f"kafka://{hosts}/?levels=1&partitions=3&replication=3&min_insync=2&timeout=5"
        brokers = [await opened(url) for _ in range(2)]
        schedules = [deferred() for _ in range(TOTAL)]
        await brokers[0].scheduler.add([*schedules, recurring("every", 3600)])
        assert await brokers[0].scheduler.remove([recurring("every").id]) == [True]
        amid = asyncio.Event()
        async with asyncio.TaskGroup() as group:
            group.create_task(fire_all(brokers, amid))
            await amid.wait()
            cluster[0].kill()
        counts = await fired(brokers[0])
        assert counts.keys() == {one.envelope.id for one in schedules}
        assert counts.total() == TOTAL
    finally:
        for one in cluster:
            one.kill()
