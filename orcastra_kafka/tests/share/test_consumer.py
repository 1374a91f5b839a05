"""The share consumer on a real broker."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager

import pytest
from server_rig import until

from orcastra_kafka.conformance_servers import Server
from orcastra_kafka.share import (
    AckType,
    Cluster,
    Connecting,
    KafkaCode,
    SessionLost,
    ShareConsumer,
    ShareError,
    ShareRecord,
)
from orcastra_kafka.share.messages import ShareFetch

pytestmark = pytest.mark.kafka

Produce = Callable[[int], Awaitable[None]]


@asynccontextmanager
async def joined(cluster: Cluster, topic: str, lost: list[ShareRecord] | None = None) -> AsyncIterator[ShareConsumer]:
    consumer = ShareConsumer(
        cluster, topic, [topic], lost=lambda records, _: None if lost is None else lost.extend(records)
    )
    await consumer.start()
    await consumer.ready()
    try:
        yield consumer
    finally:
        await consumer.close()


async def take(consumer: ShareConsumer, number: int) -> list[ShareRecord]:
    taken: list[ShareRecord] = []
    async with asyncio.timeout(10):
        while len(taken) < number:
            taken += await consumer.fetch(number - len(taken), 0.5)
    return taken


async def acknowledge(
    consumer: ShareConsumer, records: Sequence[ShareRecord], kind: AckType = AckType.ACCEPT
) -> list[int]:
    return await consumer.acknowledge([(record, kind) for record in records])


async def test_no_more_is_taken_than_was_asked_for(cluster: Cluster, topic: str, produce: Produce) -> None:
    await produce(10)
    async with joined(cluster, topic) as one, joined(cluster, topic) as other:
        assert len(await take(one, 3)) == len(await one.held()) == 3
        assert len(await take(other, 7)) == 7


async def test_any_order_of_acknowledgements_will_do(cluster: Cluster, topic: str, produce: Produce) -> None:
    await produce(5)
    async with joined(cluster, topic) as consumer:
        records = await take(consumer, 5)
        assert await acknowledge(consumer, [records[4], records[0], records[2]]) == [0, 0, 0]
        assert await acknowledge(consumer, [records[1]], AckType.RELEASE) == [0]
        assert await acknowledge(consumer, [records[3]], AckType.REJECT) == [0]
        assert await consumer.held() == []
        (again,) = await take(consumer, 1)
        assert (again.value, again.delivery_count) == (records[1].value, 2)


async def test_a_lock_is_renewed_for_as_long_as_a_record_is_held(
    cluster: Cluster, topic: str, produce: Produce
) -> None:
    await produce(1)
    async with joined(cluster, topic) as holder, joined(cluster, topic) as rival:
        records = await take(holder, 1)
        assert await rival.fetch(1, 2.5) == []
        assert await acknowledge(holder, records) == [0]


async def test_a_late_acknowledgement_fails_alone(cluster: Cluster, topic: str, produce: Produce) -> None:
    await produce(6)
    async with joined(cluster, topic) as slow, joined(cluster, topic) as rival:
        old = await take(slow, 2)
        slow.suspend()
        taken = await take(rival, 4)
        assert {record.offset for record in await take(rival, 2)} == {record.offset for record in old}
        await acknowledge(rival, taken)
        await produce(4)
        new = await take(slow, 4)
        codes = await acknowledge(slow, [new[0], old[0], new[1], old[1], *new[2:]])
    late = KafkaCode.INVALID_RECORD_STATE
    assert codes == [0, late, 0, late, 0, 0]


async def test_what_a_lost_connection_held_comes_again_elsewhere(
    server: Server, cluster: Cluster, topic: str, produce: Produce
) -> None:
    await produce(3)
    far = Cluster(Connecting(bootstrap=[("127.0.0.1", server.port)]))
    await far.open()
    doomed = ShareConsumer(far, topic, [topic])
    await doomed.start()
    await doomed.ready()
    held = await take(doomed, 3)
    doomed.drop()
    async with joined(cluster, topic) as heir:
        began = asyncio.get_running_loop().time()
        again = await take(heir, 3)
        assert asyncio.get_running_loop().time() - began < 1.0
    assert [(record.offset, record.delivery_count) for record in again] == [(record.offset, 2) for record in held]
    await doomed.close()
    await far.close()


async def test_after_a_fetch_that_was_cancelled_nothing_is_lost(cluster: Cluster, topic: str, produce: Produce) -> None:
    async with joined(cluster, topic) as consumer:
        for delay in (0.0, 0.001, 0.01, 0.1):
            fetch = asyncio.create_task(consumer.fetch(5, 5.0))
            await asyncio.sleep(0.02)
            await produce(2)
            await asyncio.sleep(delay)
            fetch.cancel()
            await asyncio.wait([fetch])
            records = [] if fetch.cancelled() else fetch.result()
            records += await take(consumer, 2 - len(records))
            assert [record.delivery_count for record in records] == [1, 1]
            assert await acknowledge(consumer, records) == [0, 0]


async def test_four_members_on_one_partition_all_get_work(cluster: Cluster, topic: str, produce: Produce) -> None:
    await produce(40)
    async with AsyncExitStack() as stack:
        members = [await stack.enter_async_context(joined(cluster, topic)) for _ in range(4)]
        async with asyncio.TaskGroup() as group:
            taking = [group.create_task(take(member, 10)) for member in members]
        taken = [task.result() for task in taking]
        assert [len(some) for some in taken] == [10] * 4
        assert sorted(record.offset for some in taken for record in some) == list(range(40))
        for member, some in zip(members, taken, strict=True):
            assert await acknowledge(member, some) == [0] * 10


@pytest.mark.parametrize("closed", [True, False], ids=["SHARE_SESSION_NOT_FOUND", "INVALID_SHARE_SESSION_EPOCH"])
async def test_a_share_session_that_is_no_longer_valid_is_begun_anew(
    cluster: Cluster, topic: str, produce: Produce, closed: bool
) -> None:
    await produce(5)
    lost: list[ShareRecord] = []
    async with joined(cluster, topic, lost) as consumer:
        records = await take(consumer, 3)
        assert await acknowledge(consumer, records[:1]) == [0]
        ((node, session),) = consumer._sessions.items()
        # somebody else speaks under this member's name, and ends the session, or moves its epoch on
        epoch = -1 if closed else session._epoch
        said = await cluster.ask(node, ShareFetch(group=topic, member=consumer.id, epoch=epoch, max_records=1))
        assert said.error == 0
        if not closed:
            assert [row for one in said.partitions.values() for row in one.acquired] == [(3, 3, 1)]
        with pytest.raises(SessionLost) as raised:
            await take(consumer, 1)
        assert raised.value.code is (
            KafkaCode.SHARE_SESSION_NOT_FOUND if closed else KafkaCode.INVALID_SHARE_SESSION_EPOCH
        )
        assert [record.offset for record in lost] == [1, 2], "their holder is told"
        again = await take(consumer, 4)
        assert sorted(record.offset for record in again) == [1, 2, 3, 4]
        assert await acknowledge(consumer, again) == [0] * 4


async def test_a_renewal_that_comes_too_late_tells_who_held_the_record(
    cluster: Cluster, topic: str, produce: Produce
) -> None:
    await produce(3)
    lost: list[ShareRecord] = []
    async with joined(cluster, topic, lost) as slow, joined(cluster, topic) as rival:
        records = await take(slow, 3)
        slow.suspend()
        stolen = await take(rival, 1)
        assert not lost
        await asyncio.sleep(1.0)  # more locks run out than somebody has taken
        slow.suspend(False)
        await until(lambda: len(lost) == 3, "it is told", seconds=5)
        assert {record.offset for record in lost} == {record.offset for record in records}
        assert await slow.held() == []
        assert await acknowledge(slow, records) == [KafkaCode.INVALID_RECORD_STATE] * 3
        assert await acknowledge(rival, stolen) == [0]


async def test_a_topic_that_is_not_there_is_said_so(cluster: Cluster) -> None:
    with pytest.raises(ShareError, match="UNKNOWN_TOPIC_OR_PARTITION") as raised:
        await ShareConsumer(cluster, "nowhere", ["nowhere"]).start()
    assert raised.value.code is KafkaCode.UNKNOWN_TOPIC_OR_PARTITION


@pytest.mark.timeout(90)
async def test_a_broker_that_was_killed_is_found_again(
    server: Server, cluster: Cluster, topic: str, produce: Produce
) -> None:
    await produce(10)
    lost: list[ShareRecord] = []
    async with joined(cluster, topic, lost) as consumer:
        records = await take(consumer, 6)
        assert await acknowledge(consumer, records[:3]) == [0, 0, 0]
        await server.restart()
        async with asyncio.timeout(60):
            again: list[ShareRecord] = []
            while len(again) < 7:
                try:
                    again += await consumer.fetch(10, 0.5)
                except ShareError:
                    await asyncio.sleep(0.2)
    assert {record.offset for record in lost} == {record.offset for record in records[3:]}
    assert sorted(record.offset for record in again) == [record.offset for record in records[3:]] + [6, 7, 8, 9]
