"""What Kafka could do without a broker of ours: the same bytes through the raw client."""

from __future__ import annotations

import asyncio
import time
from uuid import uuid4

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from benchmarks.ceiling import BULK
from orcastra_core.model.broker_url import BrokerUrl

_KEY, _BODY = b"k" * 16, b"x" * 180
_PARTITIONS = 4


async def raw_kafka(url: str, tasks: int) -> dict[str, float]:
    """Produce one by one, from 100 coroutines and by whole batches, and consume; records a second."""
    server, topic = BrokerUrl.parse(url).hosts[0], f"raw-{uuid4().hex}"
    admin = AIOKafkaAdminClient(bootstrap_servers=server)
    producer = AIOKafkaProducer(bootstrap_servers=server, enable_idempotence=True, max_batch_size=1 << 20)
    consumer = AIOKafkaConsumer(bootstrap_servers=server, enable_auto_commit=False)
    await admin.start()
    try:
        await admin.create_topics([NewTopic(topic, _PARTITIONS, 1)])
        await producer.start()
        await consumer.start()
        await producer.send_and_wait(topic, _BODY, key=_KEY)
        few = max(500, tasks // 20)
        start = time.perf_counter()
        for _ in range(few):
            await producer.send_and_wait(topic, _BODY, key=_KEY)
        one_by_one = few / (time.perf_counter() - start)

        async def sender() -> None:
            for _ in range(few // 50):
                await producer.send_and_wait(topic, _BODY, key=_KEY)

        start = time.perf_counter()
        async with asyncio.TaskGroup() as group:
            for _ in range(100):
                group.create_task(sender())
        concurrent = 100 * (few // 50) / (time.perf_counter() - start)
        start = time.perf_counter()
        for number in range(0, tasks, BULK):
            batch = producer.create_batch()
            for _ in range(min(BULK, tasks - number)):
                batch.append(key=_KEY, value=_BODY, timestamp=None)
            await (await producer.send_batch(batch, topic, partition=number // BULK % _PARTITIONS))
        bulk = tasks / (time.perf_counter() - start)
        partitions = [TopicPartition(topic, number) for number in range(_PARTITIONS)]
        consumer.assign(partitions)
        await consumer.seek_to_beginning(*partitions)
        total = sum((await consumer.end_offsets(partitions)).values())
        start, found = time.perf_counter(), 0
        while found < total:
            found += sum(map(len, (await consumer.getmany(timeout_ms=1000, max_records=BULK)).values()))
        consumed = total / (time.perf_counter() - start)
    finally:
        await consumer.stop()
        await producer.stop()
        await admin.delete_topics([topic])
        await admin.close()
    return {
        "ceiling: send_and_wait, one by one /s": one_by_one,
        "ceiling: send_and_wait from 100 coroutines /s": concurrent,
        f"ceiling: send_batch, batches of {BULK} /s": bulk,
        "ceiling: getmany, without commits /s": consumed,
    }
