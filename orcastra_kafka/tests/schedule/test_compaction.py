"""The topic is compacted under those who read it: what is left says the same."""

from __future__ import annotations

import uuid

import attrs
import pytest
from kafka_rig import Open
from schedule_rig import PLAN, deferred, fired, recurring
from server_rig import until

from orcastra_core.model.schedule import Fired
from orcastra_kafka import KafkaBroker, logs
from orcastra_kafka.conformance_servers import Server
from orcastra_kafka.protocol.topics import CreateTopics, NewTopic

EAGER = {
    "cleanup.policy": "compact",
    "segment.ms": "200",
    "min.cleanable.dirty.ratio": "0.01",
    "delete.retention.ms": "0",
}


async def records(broker: KafkaBroker) -> int:
    """Count what a reader from the beginning gets to see."""
    core = broker._open_core()
    topic = await logs.find(core, core.names.schedule)
    assert topic is not None
    return sum([len(page) async for page in logs.read(core, topic, 0, 0)])


@pytest.mark.timeout(120)
async def test_what_compaction_leaves_says_the_same(shared: Server, opened: Open) -> None:
    url = f"{shared.url}/?levels=1&partitions=1&domain=s-{uuid.uuid4().hex}"
    broker, idle = await opened(url), await opened(url)
    core = broker._open_core()
    said = await core.cluster.ask_any(CreateTopics([NewTopic(core.names.schedule, 1, -1, EAGER)], 5.0))
    assert {code for code, _ in said.values()} == {0}
    far = [deferred(3600 * n) for n in range(1, 21)]
    gone = [deferred(3600) for _ in range(20)]
    every = recurring("every", 60)
    await broker.scheduler.add([*far, *gone, every])
    assert len(await idle.scheduler.page()) == 41
    for n in range(20):
        assert await broker.scheduler.settle([Fired(every.id, every.due + n, every.due + n + 1)]) == [True]
        await broker.scheduler.add([deferred() for _ in range(20)])
        done = 0
        while done < 20:
            done += (await broker.scheduler.promote(broker, limit=500, plan=PLAN)).done
    assert await broker.scheduler.remove([one.id for one in gone]) == [True] * 20

    async def compacted() -> bool:
        await broker.scheduler.add([deferred(5000)])  # a segment that nobody appends to is not compacted
        return await records(broker) < 150

    await until(compacted, "it is compacted", seconds=60)
    fresh = await opened(url)
    expected = {one.id: one for one in [*far, attrs.evolve(every, due=every.due + 20)]}
    for reader in (fresh, idle, broker):
        page = await reader.scheduler.page(limit=1000)
        assert {one.id: one for one in page if one.id in expected} == expected
        assert not {one.id for one in page} & {one.id for one in gone}
    assert (await fired(broker)).total() == 400
    assert (await fresh.scheduler.promote(fresh, limit=500, plan=PLAN)).done == 0
