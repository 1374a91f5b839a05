"""What the topics of a queue have for those who read what is committed."""

from __future__ import annotations

from collections import Counter
from functools import partial

from server_rig import until

from orcastra_core.model.ids import TaskId, text_of
from orcastra_core.model.names import QueueName
from orcastra_kafka import KafkaBroker, logs
from orcastra_kafka.protocol.log import LATEST, ListOffsets
from orcastra_kafka.share.metadata import TopicFacts


async def fired(broker: KafkaBroker, queue: str = "q") -> Counter[TaskId]:
    """Return how often each task was published to a queue, once no transaction is open there."""
    core = broker._open_core()
    found: Counter[TaskId] = Counter()
    for level in core.settings.priorities:
        topic = await logs.find(core, core.names.lane(QueueName(queue), level))
        for partition in range(len(topic.leaders) if topic is not None else 0):
            assert topic is not None
            await until(partial(_settled, broker, topic, partition), "no transaction is open")
            async for page in logs.read(core, topic, partition, 0):
                found.update(text_of(entry.key) for entry in page if entry.key is not None)
    return found


async def _settled(broker: KafkaBroker, topic: TopicFacts, partition: int) -> bool:
    core = broker._open_core()
    said = await core.cluster.ask(
        topic.leaders[partition], ListOffsets(topic.name, {partition: LATEST}, committed=False)
    )
    return await logs.offset_at(core, topic, partition, LATEST) == said[partition][1]
