"""Where partitions begin and end. Asked on a connection of our own: on a consumer's, answers come behind its parked fetch."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping, Sequence

from aiokafka.structs import TopicPartition

from orcastra_kafka.patience import led
from orcastra_kafka.protocol.log import EARLIEST, LATEST, ListOffsets
from orcastra_kafka.share.cluster import Cluster
from orcastra_kafka.share.errors import check


class Ends:
    """Asks the leaders of partitions. For one event loop.

    Args:
        cluster: Where. Stays its owner's.
        within: Seconds that partitions get to find a leader.
    """

    def __init__(self, cluster: Cluster, *, within: float) -> None:
        self._cluster = cluster
        self._within = within
        self._leaders: dict[str, Sequence[int]] = {}

    async def first(self, places: Collection[TopicPartition]) -> Mapping[TopicPartition, int]:
        """Return the first offset that each has. Raises KafkaError, OSError or TimeoutError."""
        return await self._ask(places, EARLIEST)

    async def last(self, places: Collection[TopicPartition]) -> Mapping[TopicPartition, int]:
        """Return the offset behind the last that is committed. Raises KafkaError, OSError or TimeoutError."""
        return await self._ask(places, LATEST)

    async def _ask(self, places: Collection[TopicPartition], time: int) -> Mapping[TopicPartition, int]:
        async def attempt() -> Mapping[TopicPartition, int]:
            try:
                return await self._try(places, time)
            except BaseException:
                self._leaders.clear()  # the next one looks who leads
                raise

        return await led(attempt, within=self._within)

    async def _try(self, places: Collection[TopicPartition], time: int) -> Mapping[TopicPartition, int]:
        topics = {place.topic for place in places}
        if unknown := [topic for topic in topics if topic not in self._leaders]:
            facts = await self._cluster.metadata(unknown)
            for topic in unknown:
                check(facts.topics[topic].error, doing=f"topic {topic}")
                self._leaders[topic] = facts.topics[topic].leaders
        asked: dict[tuple[int, str], dict[int, int]] = {}
        for topic, partition in places:
            asked.setdefault((self._leaders[topic][partition], topic), {})[partition] = time
        answers = await asyncio.gather(
            *(self._cluster.ask(leader, ListOffsets(topic, times)) for (leader, topic), times in asked.items())
        )
        found: dict[TopicPartition, int] = {}
        for (_, topic), answer in zip(asked, answers, strict=True):
            for partition, (error, offset) in answer.items():
                check(error, doing=f"offsets of {topic}")
                found[TopicPartition(topic, partition)] = offset
        return found
