"""Where the groups stand that read a domain's queues, as their coordinators tell whoever asks."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import attrs
from aiokafka.structs import TopicPartition

from orcastra_kafka.classic.messages import OffsetFetch
from orcastra_kafka.core import Core
from orcastra_kafka.patience import led, pause
from orcastra_kafka.protocol.log import ListOffsets
from orcastra_kafka.share.errors import COORDINATOR_MOVED, ShareError, check
from orcastra_kafka.share.groups import DescribeShareOffsets, Progress
from orcastra_kafka.share.metadata import TopicFacts
from orcastra_kafka.share.wire import Request, T
from orcastra_kafka.topics import LEVELS

_NO_SUCH_GROUP = 69
_TRANSACTION_UNDER_WAY = 88
_PAUSE = 0.02
_UNKNOWN = Progress(-1, -1, 0)


@attrs.frozen
class Queue:
    """A queue as the brokers know it.

    Attributes:
        name: Its name in topics and groups, escaped.
        levels: Its topics by level, «high» first.
    """

    name: str
    levels: Mapping[str, TopicFacts]


def queues_of(core: Core, topics: Mapping[str, TopicFacts]) -> dict[str, Queue]:
    """Return the domain's queues among all these topics, by their escaped names."""
    found: dict[str, dict[str, TopicFacts]] = {}
    prefix = f"{core.names.prefix}q."
    for name, facts in topics.items():
        queue, _, level = name.removeprefix(prefix).rpartition(".")
        if name.startswith(prefix) and level in LEVELS.values() and not facts.error:
            found.setdefault(queue, {})[level] = facts
    return {
        queue: Queue(queue, {level: levels[level] for level in LEVELS.values() if level in levels})
        for queue, levels in found.items()
    }


async def shared(core: Core, queue: Queue) -> Mapping[str, Mapping[int, Progress]]:
    """Return how far a share group has come, by level and partition. Raises KafkaError, OSError or TimeoutError."""
    group = f"{core.names.prefix}q.{queue.name}"
    topics = {facts.name: range(len(facts.leaders)) for facts in queue.levels.values()}
    said = await _ask(core, group, DescribeShareOffsets(group, topics), lambda said: said.error)
    return {
        level: {number: said.topics.get(facts.name, {}).get(number, _UNKNOWN) for number in topics[facts.name]}
        for level, facts in queue.levels.items()
    }


async def committed(core: Core, queue: Queue) -> Mapping[str, Mapping[int, tuple[int, str]]]:
    """Return what a consumer group last committed, offset and metadata, by level and partition; -1: nothing yet.

    Raises KafkaError, OSError or TimeoutError.
    """
    group = f"{core.names.prefix}c.{queue.name}"
    places = {
        level: [TopicPartition(facts.name, number) for number in range(len(facts.leaders))]
        for level, facts in queue.levels.items()
    }
    asked = OffsetFetch(group, [place for some in places.values() for place in some])
    _, found = await _ask(core, group, asked, lambda said: said[0])
    return {level: {place.partition: found.get(place, (-1, "")) for place in some} for level, some in places.items()}


async def offsets(core: Core, facts: TopicFacts, numbers: Sequence[int], time: int) -> dict[int, int]:
    """Return the ends, or the beginnings, of partitions. Raises KafkaError, OSError or TimeoutError."""

    async def ask() -> dict[int, int]:
        leaders = (await core.cluster.topic(facts.name)).leaders
        found: dict[int, int] = {}
        for leader in {leaders[number] for number in numbers}:
            mine = [number for number in numbers if leaders[number] == leader]
            said = await core.cluster.ask(leader, ListOffsets(facts.name, dict.fromkeys(mine, time)))
            for number, (error, offset) in said.items():
                check(error, doing=f"offsets of {facts.name}")
                found[number] = offset
        return found

    return await led(ask, within=core.settings.timeout)


async def _ask(core: Core, group: str, request: Request[T], error_of: Callable[[T], int]) -> T:
    """Ask a group's coordinator, who may still be loading; a group that nobody has joined yet is no error."""
    until = core.loop.time() + core.settings.timeout
    while True:
        try:
            said = await core.cluster.ask_coordinator(group, request)
            error = error_of(said)
            if error in (0, _NO_SUCH_GROUP):
                return said
            check(error, doing=f"group {group}")
        except ShareError as refused:
            core.cluster.forget_coordinator(group)
            if refused.code not in COORDINATOR_MOVED | {_TRANSACTION_UNDER_WAY} or core.loop.time() >= until:
                raise
        await pause(_PAUSE)
