"""A lane of a session: a second member where the first one waits for its acknowledgements."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from server_rig import until

from orcastra_core.model.names import QueueName
from orcastra_kafka import lane_share
from orcastra_kafka.lane_share import Lane
from orcastra_kafka.share import AckType, Cluster, ShareConsumer, ShareRecord

pytestmark = pytest.mark.kafka

Produce = Callable[[int], Awaitable[None]]


@pytest.fixture
async def lane(cluster: Cluster, topic: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Lane]:
    monkeypatch.setattr(lane_share, "_PATIENCE", 1)
    lane = Lane(QueueName("q"), lambda: ShareConsumer(cluster, topic, [topic], follow_assignment=False))
    await lane.start(within=15.0)
    yield lane
    lane.drop()
    await lane.close()


async def take(lane: Lane, number: int) -> list[ShareRecord]:
    taken: list[ShareRecord] = []
    async with asyncio.timeout(10):
        while len(taken) < number:
            taken += await lane.fetch(number - len(taken))
    return taken


async def test_while_one_member_acknowledges_the_other_fetches(lane: Lane, produce: Produce) -> None:
    await produce(20)
    held = await take(lane, 4)
    assert len(lane.members) == 1
    acknowledging = asyncio.create_task(lane.acknowledge(held[:1], AckType.ACCEPT))
    await asyncio.sleep(0)
    held += await take(lane, 1)  # it had to wait: another one joins
    await acknowledging
    await until(lambda: len(lane.members) == 2, "a second member joins")
    acknowledging = asyncio.create_task(lane.members[0].acknowledge([(held[1], AckType.ACCEPT)]))
    await asyncio.sleep(0)
    others = await take(lane, 5)
    assert await acknowledging == [0]
    first, second = lane.members
    assert all(second.holds(record) for record in others)
    mixed = [record for pair in zip(held[2:], others, strict=False) for record in pair] + others[3:]
    assert sorted(record.offset for record in await lane.held()) == sorted(record.offset for record in mixed)
    assert await lane.acknowledge(mixed, AckType.ACCEPT) == [0] * len(mixed)
    assert await lane.held() == []
    assert not first.holds(mixed[0])


async def test_a_fetch_that_was_given_up_is_asked_for_where_it_went(lane: Lane, produce: Produce) -> None:
    await lane.fetch(1)
    await lane._join()
    assert len(lane.members) == 2
    for delay in (0.0, 0.0005, 0.001, 0.002):
        await produce(3)
        fetch = asyncio.create_task(lane.fetch(3))
        await asyncio.sleep(delay)
        fetch.cancel()
        await asyncio.wait([fetch])
        records = [] if fetch.cancelled() else fetch.result()
        if not records:
            records = await lane.fetch(3)  # no second member is asked, for whom nothing might be left
        records += await take(lane, 3 - len(records))
        assert [record.delivery_count for record in records] == [1, 1, 1]
        assert await lane.acknowledge(records, AckType.ACCEPT) == [0, 0, 0]
        assert await lane.held() == []
