"""What wakes a session that waits: ordinary fetches from the ends of its topics, which take nothing."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection, Iterable
from functools import partial

from orcastra_kafka.errors import CLIENT_ERRORS
from orcastra_kafka.patience import led
from orcastra_kafka.protocol.log import LATEST, Fetch, ListOffsets
from orcastra_kafka.share.cluster import Cluster
from orcastra_kafka.share.errors import check
from orcastra_kafka.share.messages import Partition
from orcastra_kafka.share.pauses import pause, pause_unless
from orcastra_kafka.share.private import Connection

_log = logging.getLogger("orcastra.kafka")

_PARK = 1.0
_PAUSE = 0.1


class Doorbell:
    """Rings when anything is appended to a partition.

    A share fetch that waited at the broker would delay acknowledgements, could take more than was asked for of several queues, and
    would still take it after its caller had given up. So sessions fetch without waiting, and wait here. It listens only
    while somebody does: what was appended meanwhile rings at once.

    Its connections are its own, one a broker.

    Args:
        cluster: Where.
        doubt: Called when partitions are not where they were.
    """

    def __init__(self, cluster: Cluster, doubt: Callable[[], None] = lambda: None) -> None:
        self._cluster = cluster
        self._doubt = doubt
        self._offsets: dict[Partition, int] = {}
        self._leaders: dict[Partition, int] = {}
        self._names: dict[str, list[Partition]] = {}
        self._topics: dict[Partition, str] = {}
        self._rung = asyncio.Event()
        self._where: set[str] = set()
        self._everywhere = False
        self._wanted = asyncio.Event()
        self._waiting = 0
        self._tasks: dict[int, asyncio.Task[None]] = {}

    async def add(self, topics: Iterable[str]) -> None:
        """Listen to these from now on. Raises KafkaError, OSError or TimeoutError."""
        for topic in topics:
            if topic in self._names:
                continue
            await led(partial(self._add, topic), within=self._cluster.connecting.timeout)
        self._listen()

    async def _add(self, topic: str) -> None:
        facts = await self._cluster.topic(topic)
        ends: dict[Partition, int] = {}
        for leader in set(facts.leaders):
            numbers = [number for number, one in enumerate(facts.leaders) if one == leader]
            said = await self._cluster.ask(leader, ListOffsets(topic, dict.fromkeys(numbers, LATEST)))
            for number, (error, offset) in said.items():
                check(error, doing=f"the end of {topic}")
                ends[facts.id, number] = offset
        for at in self._names.get(topic, ()):
            del self._offsets[at], self._leaders[at], self._topics[at]
        self._offsets |= ends
        self._topics |= dict.fromkeys(ends, topic)
        self._leaders |= {at: facts.leaders[at[1]] for at in ends}
        self._names[topic] = sorted(ends)

    async def wait(self, seconds: float) -> Collection[str] | None:
        """Wait until it rings, but not longer than so many seconds.

        Returns:
            The topics that something was appended to; None if there may be something in any.
        """
        self._waiting += 1
        self._wanted.set()
        try:
            await pause_unless(self._rung, seconds)
            return None if self._everywhere or not self._where else frozenset(self._where)
        finally:
            self._waiting -= 1
            if not self._waiting:
                self._wanted.clear()
            self._rung.clear()
            self._where.clear()
            self._everywhere = False

    def drop(self) -> list[asyncio.Task[None]]:
        """Stop listening; return what has to be waited for."""
        for task in self._tasks.values():
            task.cancel()
        return list(self._tasks.values())

    def _listen(self) -> None:
        loop = asyncio.get_running_loop()
        for node in set(self._leaders.values()) - self._tasks.keys():
            self._tasks[node] = loop.create_task(self._listen_to(node), name=f"kafka-doorbell-{node}")

    async def _listen_to(self, node: int) -> None:
        connection: Connection | None = None
        try:
            while True:
                await self._wanted.wait()
                offsets = {at: offset for at, offset in self._offsets.items() if self._leaders[at] == node}
                if not offsets:
                    await pause(_PARK)
                    continue
                try:
                    if connection is None:
                        connection = await self._cluster.connect(node)
                    said = Fetch.read(await connection.send(Fetch(offsets=offsets, wait=_PARK, max_bytes=1)))
                except CLIENT_ERRORS as error:
                    _log.debug("doorbell at broker %d: %s", node, error)
                    if connection is not None:
                        connection.close()
                        connection = None
                    await pause(_PAUSE)
                    await self._look_again()
                    self._ring()  # whatever has happened: look
                    continue
                lost: set[Partition] = set()
                for at, page in said.items():
                    if at not in self._offsets:
                        continue  # its topic was made anew meanwhile
                    if page.error:
                        lost.add(at)
                    elif page.end > self._offsets[at]:
                        self._offsets[at] = page.end
                        self._ring(self._topics[at])
                if lost:
                    await pause(_PAUSE)
                    await self._look_again(lost)
                    self._ring()
        finally:
            if connection is not None:
                connection.close()

    def _ring(self, topic: str | None = None) -> None:
        if topic is None:
            self._everywhere = True
        else:
            self._where.add(topic)
        self._rung.set()

    async def _look_again(self, lost: Collection[Partition] = ()) -> None:
        """Ask who leads; and begin anew, at its end, with a topic of which something was lost, or that was made anew."""
        self._doubt()
        try:
            facts = await self._cluster.metadata(list(self._names))
            for topic in facts.topics.values():
                places = [(topic.id, number) for number in range(len(topic.leaders))]
                if topic.error:
                    continue
                if places != self._names[topic.name] or not set(lost).isdisjoint(places):
                    await self._add(topic.name)
                else:
                    self._leaders |= {at: topic.leaders[at[1]] for at in places if topic.leaders[at[1]] >= 0}
        except CLIENT_ERRORS as error:
            _log.debug("doorbell: %s", error)
        self._listen()
