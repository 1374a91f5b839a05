"""What the harness does to a domain's topics and groups behind its brokers' backs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import attrs
from aiokafka import AIOKafkaConsumer
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.client import AIOKafkaClient
from aiokafka.protocol.admin import DeleteGroupsRequest, ListGroupsRequest
from aiokafka.structs import TopicPartition

from orcastra_core.liveness.system_clock import SystemClock

_NON_EMPTY_GROUP = 68
_LONGEST_SILENCE = 6.0
"""Seconds, more than the sessions of short time-outs."""


@attrs.frozen
class Group:
    """A group as its coordinator lists it.

    Attributes:
        name: Its id.
        node: The broker that coordinates it.
    """

    name: str
    node: int


class Admin:
    """Topics and groups by prefix. Made by ``admin``."""

    def __init__(self, server: str, client: AIOKafkaClient, topics: AIOKafkaAdminClient) -> None:
        self._server = server
        self._client = client
        self._topics = topics

    async def topics(self, prefix: str) -> Sequence[str]:
        """Return the names of the topics that begin with ``prefix``."""
        return sorted(name for name in await self._topics.list_topics() if name.startswith(prefix))

    async def records(self, topic: str) -> int:
        """Count the records that a topic still has; ends of transactions are none."""
        facts = await self._topics.describe_topics([topic])
        places = [TopicPartition(topic, one["partition"]) for one in facts[0]["partitions"]]
        consumer = AIOKafkaConsumer(bootstrap_servers=self._server, isolation_level="read_committed")
        number = 0
        try:
            await consumer.start()
            consumer.assign(places)
            await consumer.seek_to_beginning(*places)
            end = await consumer.end_offsets(places)
            while any([await consumer.position(place) < end[place] for place in places]):
                number += sum(map(len, (await consumer.getmany(timeout_ms=50)).values()))
        finally:
            await consumer.stop()
        return number

    async def groups(self, prefix: str) -> Sequence[Group]:
        """Return the groups, of consumers or sharing ones, that begin with ``prefix``."""
        found: list[Group] = []
        for broker in self._client.cluster.brokers():
            answer: Any = await self._client.send(broker.nodeId, ListGroupsRequest())
            found += [Group(one[0], broker.nodeId) for one in answer.groups if one[0].startswith(prefix)]
        return found

    async def delete_topics(self, names: Sequence[str]) -> None:
        """Remove topics and all that is in them. One that is not there is no error."""
        if names:
            await self._topics.delete_topics(list(names))

    async def delete_groups(self, groups: Sequence[Group]) -> Sequence[Group]:
        """Remove groups that are empty; return the others, of members that live, or went without a word."""
        left: list[Group] = []
        for node in {group.node for group in groups}:
            names = [group.name for group in groups if group.node == node]
            said: Any = await self._client.send(node, DeleteGroupsRequest(names))
            left += [Group(name, node) for name, error in said.results if error == _NON_EMPTY_GROUP]
        return left

    async def delete_silent_groups(self, groups: Sequence[Group]) -> None:
        """Remove groups as soon as their members, who went without a word, are missed; those of living members stay."""
        loop = asyncio.get_running_loop()
        until = loop.time() + _LONGEST_SILENCE
        while groups and loop.time() < until:
            await SystemClock().sleep(0.5)
            groups = await self.delete_groups(groups)


@asynccontextmanager
async def admin(server: str) -> AsyncIterator[Admin]:
    """Connect to a cluster.

    Args:
        server: ``host:port`` of one of its brokers.
    """
    client = AIOKafkaClient(bootstrap_servers=server)
    topics = AIOKafkaAdminClient(bootstrap_servers=server)
    try:
        await client.bootstrap()
        await topics.start()
        yield Admin(server, client, topics)
    finally:
        await topics.close()
        await client.close()
