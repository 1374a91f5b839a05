"""What faststream does with Kafka, at most once. Run by ``peer.py``, with a Python that has it."""

from __future__ import annotations

import asyncio
import logging
import time
from uuid import uuid4


async def measure(server: str, tasks: int) -> dict[str, float]:
    """Publish from 100 coroutines and one by one, and drain; messages a second."""
    from aiokafka.admin import AIOKafkaAdminClient, NewTopic
    from faststream.kafka import KafkaBroker  # type: ignore[import-not-found,unused-ignore]

    logging.disable(logging.CRITICAL)
    topic, total = f"faststream-{uuid4().hex}", tasks // 100 * 100
    admin = AIOKafkaAdminClient(bootstrap_servers=server)
    await admin.start()
    unread = f"{topic}-unread"
    await admin.create_topics([NewTopic(name, 4, 1) for name in (topic, unread)])
    broker = KafkaBroker(server)
    done, finished = 0, asyncio.Event()

    @broker.subscriber(topic, group_id=topic, auto_offset_reset="earliest")  # type: ignore[untyped-decorator,unused-ignore]
    async def noop(n: int) -> None:
        nonlocal done
        done += 1
        if done >= total:
            finished.set()

    async def publisher() -> None:
        for n in range(total // 100):
            await broker.publish(n, topic)

    try:
        await broker.connect()
        few = max(500, tasks // 50)
        start = time.perf_counter()
        for n in range(few):
            await broker.publish(n, unread)
        one_by_one = few / (time.perf_counter() - start)
        start = time.perf_counter()
        async with asyncio.TaskGroup() as group:
            for _ in range(100):
                group.create_task(publisher())
        concurrent = total / (time.perf_counter() - start)
        start = time.perf_counter()
        await broker.start()
        await finished.wait()
        drained = total / (time.perf_counter() - start)
    finally:
        await broker.stop()
        await admin.delete_topics([topic, unread])
        await admin.close()
    return {
        "peer: faststream, one by one /s": one_by_one,
        "peer: faststream, from 100 coroutines /s": concurrent,
        "peer: faststream, drained, at most once /s": drained,
    }
