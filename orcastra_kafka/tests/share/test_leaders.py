"""A partition's leader changes while its records are held."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator
from typing import Any

import attrs
import pytest

from orcastra_kafka.conformance_servers import Ground, Server
from orcastra_kafka.producer import Producer, Record
from orcastra_kafka.share import AckType, Cluster, Connecting, ShareConsumer, ShareError, ShareRecord
from orcastra_kafka.share.groups import AlterGroupConfig
from orcastra_kafka.share.private import CompactArray, Int16, Int32
from orcastra_kafka.share.wire import NO_TAGS, TEXT, Request, array
from orcastra_kafka.topics import Topics

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(120)]


@attrs.frozen
class MovePartition(Request[int]):
    """AlterPartitionReassignments v0: have a topic's only partition live on one broker. Answered with an error."""

    key = 45
    version = 0
    layout = (
        ("timeout", Int32),
        ("topics", array(("name", TEXT), ("partitions", array(("index", Int32), ("replicas", CompactArray(Int32)))))),
    )
    answer = (
        ("throttle", Int32),
        ("error", Int16),
        ("message", TEXT),
        (
            "topics",
            array(("name", TEXT), ("partitions", array(("index", Int32), ("error", Int16), ("message", TEXT)))),
        ),
    )

    topic: str
    to: int

    def fields(self) -> tuple[Any, ...]:
        return 5000, [(self.topic, [(0, [self.to], NO_TAGS)], NO_TAGS)]

    @classmethod
    def read(cls, said: Any) -> int:
        return int(said.error or next(row[1] for _, rows, _ in said.topics for row in rows))


@pytest.fixture
async def brokers(ground: Ground) -> AsyncIterator[list[Server]]:
    started = list(await ground.cluster(2))
    yield started
    for server in started:
        server.kill()


async def test_the_new_leader_is_found(brokers: list[Server]) -> None:
    cluster = Cluster(Connecting(bootstrap=[("127.0.0.1", server.port) for server in brokers]))
    await cluster.open()
    name = f"t-{uuid.uuid4().hex}"
    await Topics(cluster, specials={}, partitions=1, replicas=1).ensure([name])
    assert not (await cluster.ask_any(AlterGroupConfig(name, {"share.auto.offset.reset": "earliest"}))).error
    producer = Producer(cluster, where="kafka", codec=0, timeout=10.0)
    assert not any(await producer.send([Record(name, None, b"%d" % number) for number in range(10)]))
    lost: list[ShareRecord] = []
    consumer = ShareConsumer(cluster, name, [name], lost=lambda records, _: lost.extend(records))
    await consumer.start()
    await consumer.ready()
    held: list[ShareRecord] = []
    while len(held) < 4:
        held += await consumer.fetch(4 - len(held), 0.5)
    assert await consumer.acknowledge([(record, AckType.ACCEPT) for record in held[:2]]) == [0, 0]

    (before,) = (await cluster.topic(name)).leaders
    after = next(server.node for server in brokers if server.node != before)
    assert await cluster.ask_any(MovePartition(name, after)) == 0
    async with asyncio.timeout(30):
        while True:
            if (await cluster.topic(name)).leaders == [after]:
                break
            await asyncio.sleep(0.05)
        # what is said of them now is said to a broker that leads nothing any more
        late = await consumer.acknowledge([(record, AckType.ACCEPT) for record in held[2:3]])
        assert late != [0]
        assert not any(await producer.send([Record(name, None, b"10")]))
        again: dict[int, ShareRecord] = {}
        while len(again) < 9:
            try:
                again |= {record.offset: record for record in await consumer.fetch(10, 0.5)}
            except ShareError:
                continue
    assert sorted(again) == list(range(2, 11)), "all but what was acknowledged in time"
    assert await consumer.acknowledge([(record, AckType.ACCEPT) for record in again.values()]) == [0] * 9
    assert [record.offset for record in lost if record.offset < 4] == [3], "who held on to one is told"
    await consumer.close()
    await producer.close()
    await cluster.close()
