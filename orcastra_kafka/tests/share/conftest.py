"""A broker of the tests' own, and what they do on it."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import TypeAlias

import pytest

from orcastra_core.model.broker_url import BrokerUrl
from orcastra_kafka import KafkaBroker
from orcastra_kafka.conformance_servers import Ground, Server
from orcastra_kafka.producer import Producer, Record
from orcastra_kafka.share import Cluster, Connecting
from orcastra_kafka.share.groups import AlterGroupConfig
from orcastra_kafka.topics import Topics

Produce: TypeAlias = Callable[[int], Awaitable[None]]


@pytest.fixture(scope="session")
def server(ground: Ground) -> Iterator[Server]:
    """One broker for all of these."""
    server = asyncio.run(ground.server())
    yield server
    server.kill()


@pytest.fixture
async def cluster(server: Server) -> AsyncIterator[Cluster]:
    cluster = Cluster(Connecting(bootstrap=[("127.0.0.1", server.port)]))
    await cluster.open()
    yield cluster
    await cluster.close()


@pytest.fixture
async def topic(cluster: Cluster) -> str:
    """A topic of one partition, and a share group of its name that begins at its start with locks of a second."""
    name = f"t-{uuid.uuid4().hex}"
    await Topics(cluster, specials={}, partitions=1).ensure([name])
    configs = {"share.auto.offset.reset": "earliest", "share.record.lock.duration.ms": "1000"}
    assert (await cluster.ask_any(AlterGroupConfig(name, configs))).error == 0
    return name


@pytest.fixture
async def produce(cluster: Cluster, topic: str) -> AsyncIterator[Produce]:
    producer = Producer(cluster, where="kafka", codec=0, timeout=5.0)

    async def produce(number: int) -> None:
        said = await producer.send([Record(topic, None, str(one).encode()) for one in range(number)])
        assert not any(said)

    yield produce
    await producer.close()


@pytest.fixture
async def broker(server: Server) -> AsyncIterator[KafkaBroker]:
    """A broker of a fresh domain, with a topic of one partition for each queue."""
    broker = KafkaBroker(BrokerUrl.parse(f"{server.url}/?domain={uuid.uuid4().hex}&lane=share&partitions=1&levels=1"))
    await broker.open()
    yield broker
    await broker.close()
