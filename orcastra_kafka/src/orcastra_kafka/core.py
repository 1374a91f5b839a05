"""What an open broker has, for the event loop that opened it."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping, Sequence

import attrs

from orcastra_core.interfaces.clock import Clock
from orcastra_core.model.dead_letter import DEAD_LETTER_TTL
from orcastra_core.model.errors import AuthenticationFailed
from orcastra_core.model.names import QueueName
from orcastra_kafka.due_news import DueNews
from orcastra_kafka.errors import CLIENT_ERRORS, translate
from orcastra_kafka.producer import Producer
from orcastra_kafka.protocol.topics import DescribeGroup
from orcastra_kafka.schedule_topic import CONFIGS
from orcastra_kafka.server import ServerFacts, where
from orcastra_kafka.settings import CODECS, Settings
from orcastra_kafka.share.cluster import Cluster
from orcastra_kafka.share.errors import DENIED, TOPIC_GONE, check
from orcastra_kafka.share.groups import AlterGroupConfig
from orcastra_kafka.topics import Names, Special, Topics

_HOUR = 3600.0
_RESULTS_KEPT = 24 * _HOUR
"""Seconds that the topic of results keeps them, unless one has a longer TTL."""


class Core:
    """The open half of a broker.

    Attributes:
        settings: From its URL.
        where: What the cluster is called in messages.
        clock: Where Unix time comes from.
        names: What belongs to the domain is called.
        cluster: The way to the brokers.
        topics: Makes sure that topics are there.
        producer: What publishes.
        due_soon: Tells sessions that something that was put off is due sooner than they know.
        facts: What the brokers allow; set by ``open``.
        loop: To which it belongs.
        pid: And to which process.
        closed: Whether ``close`` was called.
    """

    facts: ServerFacts

    def __init__(self, settings: Settings, clock: Clock) -> None:
        self.settings = settings
        self.where = where(settings)
        self.clock = clock
        self.names = Names(settings.domain)
        self.cluster = Cluster(settings.connecting())
        self._specials = {
            self.names.events: Special({}, partitions=1),  # it is one log
            self.names.results: Special({"retention.ms": _ms(_RESULTS_KEPT), "segment.ms": _ms(_RESULTS_KEPT / 8)}),
            self.names.replies: Special({"retention.ms": _ms(_HOUR), "segment.ms": _ms(_HOUR / 8)}),
            self.names.dead: Special({"cleanup.policy": "compact,delete", "retention.ms": _ms(DEAD_LETTER_TTL)}),
        }
        self._specials[self.names.schedule] = Special(CONFIGS)
        self.due_soon = DueNews()
        self.topics = Topics(
            self.cluster,
            specials=self._specials,
            partitions=settings.partitions,
            replicas=settings.replication,
            min_insync=settings.min_insync,
            create=settings.create_topics,
            timeout=settings.timeout,
        )
        self.producer = Producer(
            self.cluster,
            where=self.where,
            codec=CODECS[settings.compression],
            timeout=settings.timeout,
        )
        self.loop = asyncio.get_running_loop()
        self.pid = os.getpid()
        self.closed = False
        self._groups: dict[str, float | None] = {}
        self._results_kept = _RESULTS_KEPT

    def take_lane(self, lane: str) -> None:
        """Be told by which lane sessions consume; the URL may have left it open."""
        self.settings = attrs.evolve(self.settings, lane=lane)
        self.producer.scatter = lane == "classic"
        self.producer.shared = f"{self.names.prefix}q." if lane == "share" else None

    async def close(self) -> None:
        """End all of it."""
        self.closed = True
        await self.producer.close()
        await self.cluster.close()

    def look_again(self, error: BaseException) -> None:
        """If something failed because a topic is gone: forget what was known of topics, so that they are made anew."""
        if getattr(error.__cause__, "code", None) in TOPIC_GONE:
            self.topics.forget()
            self.producer.forget()
            self._groups.clear()

    async def ensure_queues(self, queues: Sequence[QueueName]) -> None:
        """Make sure that the topics of queues are there, and with the first of them those of the domain. Raises BrokerError."""
        try:
            lanes = [self.names.lane(queue, level) for queue in queues for level in self.settings.priorities]
            await self.topics.ensure([*lanes, *self._specials])
        except CLIENT_ERRORS as error:
            raise translate(error, self.where) from error

    async def ensure_results(self, ttl: float = 0.0) -> None:
        """Make sure that the topics of results are there, and keep what is in them for ``ttl`` seconds. Raises BrokerError."""
        await self._ensure(self.names.results, self.names.replies)
        if ttl > self._results_kept:
            try:
                self._results_kept = await self.topics.keep(self.names.results, ttl)
            except CLIENT_ERRORS as error:
                raise translate(error, self.where) from error

    async def ensure_events(self) -> None:
        """Make sure that the topic of events is there. Raises BrokerError."""
        await self._ensure(self.names.events)

    async def ensure_schedule(self) -> None:
        """Make sure that the topic of schedules is there. Raises BrokerError."""
        await self._ensure(self.names.schedule)

    async def ensure_dead(self) -> None:
        """Make sure that the topic of dead letters is there. Raises BrokerError."""
        await self._ensure(self.names.dead)

    async def ensure_groups(self, queues: Sequence[QueueName], lease: float | None) -> None:
        """Set up the share groups of queues, before their first fetch. Raises BrokerError.

        Args:
            queues: Which.
            lease: Seconds that a record stays with who has fetched it; None: as it is.
        """
        try:
            for group in {self.names.queue(queue) for queue in queues}:
                if group not in self._groups or lease not in (None, self._groups[group]):
                    await self._set_up(group, lease)
                    self._groups[group] = lease
        except CLIENT_ERRORS as error:
            raise translate(error, self.where) from error

    async def _set_up(self, group: str, lease: float | None) -> None:
        configs = {
            "share.auto.offset.reset": "earliest",  # or what was published before the first session would be passed over
            "share.isolation.level": "read_committed",  # or a scheduler's aborted transaction would be run
            **self.facts.for_groups,
        }
        if lease is not None:
            configs["share.record.lock.duration.ms"] = _ms(lease)
        said = await self.cluster.ask_any(AlterGroupConfig(group, configs))
        if said.error in DENIED:
            await self._check_set_up(group, configs)
            return
        check(said.error, said.message, doing=f"setting up the share group {group}")

    async def _check_set_up(self, group: str, configs: Mapping[str, str]) -> None:
        """Somebody else may have set it up, who is allowed to."""
        error, found = await self.cluster.ask_any(DescribeGroup(group, list(configs)))
        if error or any(found.get(name) != value for name, value in configs.items()):
            raise AuthenticationFailed(
                f"{self.where}: not allowed to set up the share group {group}: allow AlterConfigs on groups that begin with"
                f" {self.names.prefix}, or allow DescribeConfigs on them and have somebody run: kafka-configs.sh"
                f" --bootstrap-server {self.where.rpartition(' ')[2]} --alter --entity-type groups --entity-name {group}"
                f" --add-config {','.join(f'{name}={value}' for name, value in configs.items())}"
            )

    async def _ensure(self, *topics: str) -> None:
        try:
            await self.topics.ensure(topics)
        except CLIENT_ERRORS as error:
            raise translate(error, self.where) from error


def _ms(seconds: float) -> str:
    return str(round(seconds * 1000))
