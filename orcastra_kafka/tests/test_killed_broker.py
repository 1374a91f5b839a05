"""The broker is killed amid work and comes back: nothing that was confirmed is lost, and the workers come back by themselves."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from kafka_rig import SHOP, Orders
from server_rig import crew, until

from orcastra_kafka.conformance_servers import Ground, Server

TOTAL = 4000

LANES = ["lane=share", "lane=classic", "lane=classic&transactions=1"]


@pytest.mark.timeout(180)
@pytest.mark.parametrize("query", LANES)
async def test_killed_and_restarted(kafka: Server, tmp_path: Path, query: str) -> None:
    url = f"{kafka.url}/?{query}&levels=1&timeout=3"
    orders = Orders(url)
    async with orders.app, crew(tmp_path, url, 2, "-c", "50", "--lease", "2", source=SHOP) as workers:
        await orders.submit_all(TOTAL // 2, 0.01)
        await until(lambda: len(workers.begun()) > TOTAL // 10, "they work")
        kafka.kill()
        in_vain = asyncio.create_task(orders.submit(range(TOTAL, TOTAL + 10), 0.01))
        await kafka.start()
        await in_vain
        await orders.submit(range(TOTAL // 2, TOTAL), 0.01)
        assert len(orders.confirmed) >= TOTAL
        await until(lambda: orders.confirmed <= set(workers.begun()), "all were begun", seconds=60)


@pytest.mark.timeout(240)
@pytest.mark.parametrize("query", LANES)
async def test_a_leader_is_killed(ground: Ground, tmp_path: Path, query: str) -> None:
    """Three brokers, three copies of each record: one of the brokers dies for good."""
    brokers = await ground.cluster(3)
    try:
        hosts = ",".join(f"127.0.0.1:{broker.port}" for broker in brokers)
        url = f"kafka://{hosts}/?{query}&levels=1&partitions=3&replication=3&min_insync=2&timeout=5"
        orders = Orders(url)
        async with orders.app, crew(tmp_path, url, 2, "-c", "50", "--lease", "3", source=SHOP) as workers:
            await orders.submit_all(TOTAL // 2, 0.01)
            await until(lambda: len(workers.begun()) > TOTAL // 10, "they work")
            brokers[0].kill()  # leads a third of the partitions
            for first in range(TOTAL // 2, TOTAL, 100):
                await orders.submit(range(first, first + 100), 0.01)
            assert len(orders.confirmed) > TOTAL * 3 // 4
            await until(lambda: orders.confirmed <= set(workers.begun()), "all were begun", seconds=90)
    finally:
        for broker in brokers:
            broker.kill()
