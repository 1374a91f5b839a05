"""The names of a domain's topics, and their creation."""

from __future__ import annotations

import asyncio
import hashlib
import math
import re
from collections.abc import Iterable, Mapping, Sequence

import attrs

from orcastra_core.model.errors import AuthenticationFailed, BrokerError
from orcastra_core.model.names import QueueName
from orcastra_kafka.protocol.topics import AlterTopicConfig, CreateTopics, DescribeTopic, NewTopic
from orcastra_kafka.share.cluster import Cluster
from orcastra_kafka.share.errors import DENIED, KafkaCode, ShareError, check
from orcastra_kafka.share.metadata import TopicFacts
from orcastra_kafka.share.pauses import pause

LEVELS: Mapping[int, str] = {1: "high", 0: "normal", -1: "low"}
"""Priorities and what their topics are called, the highest first."""

_LONGEST = 100
"""Bytes of an escaped name that is used as it is: two of them, a prefix and a suffix have to fit into 249."""

_RETENTION = "retention.ms"

MAX_MESSAGE = 2 << 20
"""Bytes of a batch that the topics admit; a body of ``max_body`` with its headers has room."""


def escaped(name: str) -> str:
    """Return a name in letters and digits; what else there is as «-» and two hexadecimal digits a byte.

    Different names stay different, also for Kafka, to which «.» and «_» are the same. Long ones end in a digest.
    """
    text = "".join(
        chr(byte) if chr(byte).isascii() and chr(byte).isalnum() else f"-{byte:02x}" for byte in name.encode()
    )
    if len(text) <= _LONGEST:
        return text
    return f"{text[:40]}-x{hashlib.sha256(name.encode()).hexdigest()[:40]}"


def unescaped(text: str) -> str:
    """Return the name that ``escaped`` was given; of a long one only what there is."""
    if text[40:42] == "-x":
        return text
    raw = re.sub(rb"-([0-9a-f]{2})", lambda found: bytes.fromhex(found[1].decode()), text.encode())
    return raw.decode(errors="replace")


class Names:
    """What belongs to a domain is called.

    Attributes:
        prefix: What every topic and every group of the domain begins with.
        events, results, replies, schedule, dead: Topics.
    """

    def __init__(self, domain: str) -> None:
        self.prefix = f"orc.{escaped(domain)}."
        self.events = f"{self.prefix}events"
        self.results = f"{self.prefix}results"
        self.replies = f"{self.prefix}replies"
        self.schedule = f"{self.prefix}schedule"
        self.dead = f"{self.prefix}dead"
        self._escaped: dict[str, str] = {}
        self._lanes: dict[tuple[str, int], str] = {}

    def queue(self, queue: str) -> str:
        """Return the name of a queue's share group, and of its topics but for the level."""
        known = self._escaped.get(queue)
        if known is None:
            known = self._escaped[queue] = f"{self.prefix}q.{escaped(queue)}"
        return known

    def group(self, queue: str) -> str:
        """Return the name of a queue's consumer group."""
        return f"{self.prefix}c.{escaped(queue)}"

    def lane(self, queue: str, level: int) -> str:
        """Return the topic of a queue's tasks of one priority."""
        known = self._lanes.get((queue, level))
        if known is None:
            known = self._lanes[queue, level] = f"{self.queue(queue)}.{LEVELS[level]}"
        return known


@attrs.frozen
class Special:
    """How a topic differs from those of queues.

    Attributes:
        configs: Beside those that all topics have.
        partitions: Instead of a queue's number, if not 0.
    """

    configs: Mapping[str, str]
    partitions: int = 0


_PLAIN = Special({"segment.bytes": str(128 << 20)})  # only whole segments are removed, once all in them is done


class Topics:
    """Makes sure that topics are there, with the configs that they need.

    Args:
        cluster: Where.
        specials: Topics that are not a queue's, by name.
        partitions: Of a queue's topic.
        replicas: -1: as many as the broker makes by itself.
        min_insync: Replicas that must have a record before it is confirmed; None: as the broker has it.
        create: Whether missing ones are created; else the error names them.
        timeout: Seconds it may take.
    """

    def __init__(
        self,
        cluster: Cluster,
        *,
        specials: Mapping[str, Special],
        partitions: int,
        replicas: int = -1,
        min_insync: int | None = None,
        create: bool = True,
        timeout: float = 5.0,
    ) -> None:
        self._cluster = cluster
        self._specials = specials
        self._partitions = partitions
        self._replicas = replicas
        self._min_insync = min_insync
        self._create = create
        self._timeout = timeout
        self._known: set[str] = set()
        self._making = asyncio.Lock()

    async def ensure(self, names: Iterable[str]) -> None:
        """Create those that are missing. Idempotent; safe from many processes at once."""
        missing = [name for name in names if name not in self._known]
        if not missing:
            return
        async with self._making:
            missing = [name for name in dict.fromkeys(missing) if name not in self._known]
            if not missing:
                return
            facts = await self._cluster.metadata(missing)
            hidden = [name for name in missing if facts.topics[name].error in DENIED]
            if hidden:
                raise AuthenticationFailed(
                    f"not allowed to see topics: allow Describe, Read and Write on {', '.join(hidden)}"
                )
            absent = [name for name in missing if facts.topics[name].error == KafkaCode.UNKNOWN_TOPIC_OR_PARTITION]
            if absent:
                await self._make([self._topic(name) for name in absent])
                await self._settled(absent)
            self._known.update(missing)

    async def keep(self, name: str, seconds: float) -> float:
        """Have a topic keep what is in it for at least so long; return how long it does, in seconds.

        It is raised to twice as long, so that this is rarely needed again.
        """
        error, configs = await self._cluster.ask_any(DescribeTopic(name, [_RETENTION]))
        check(error, doing=f"the configs of {name}")
        kept = int(configs.get(_RETENTION, "-1")) / 1000
        if kept < 0:
            return math.inf
        if kept < seconds:
            kept = 2 * seconds
            said = await self._cluster.ask_any(AlterTopicConfig(name, {_RETENTION: str(round(kept * 1000))}))
            if said.error in DENIED:
                raise AuthenticationFailed(
                    f"not allowed to have {name} keep results for {seconds:g} s: set its {_RETENTION}, or use a shorter TTL"
                )
            check(said.error, said.message, doing=f"the configs of {name}")
        return kept

    def forget(self) -> None:
        """Somebody may have removed some: look again the next time."""
        self._known.clear()

    def _topic(self, name: str) -> NewTopic:
        special = self._specials.get(name, _PLAIN)
        configs = {"cleanup.policy": "delete", "retention.ms": "-1", "retention.bytes": "-1"}
        configs |= {"max.message.bytes": str(MAX_MESSAGE), "message.timestamp.type": "CreateTime", **special.configs}
        if self._min_insync is not None:
            configs["min.insync.replicas"] = str(self._min_insync)
        return NewTopic(name, special.partitions or self._partitions, self._replicas, configs)

    async def _make(self, topics: Sequence[NewTopic]) -> None:
        if not self._create:
            raise BrokerError(f"topics are missing, and the URL says create_topics=0: {_how(topics)}")
        said = await self._cluster.ask_any(CreateTopics(topics, self._timeout))
        for name, (code, message) in said.items():
            if code in DENIED:
                raise AuthenticationFailed(f"not allowed to create topics ({message or code}): {_how(topics)}")
            if code not in (KafkaCode.NONE, KafkaCode.TOPIC_ALREADY_EXISTS):
                raise ShareError(code, message, doing=f"creating the topic {name}")

    async def _settled(self, names: Sequence[str]) -> None:
        """Wait until the brokers know of them, and who leads them."""
        async with asyncio.timeout(self._timeout):
            while True:
                facts = await self._cluster.metadata(names)
                if all(_led(facts.topics[name]) for name in names):
                    return
                await pause(0.01)


def _how(topics: Sequence[NewTopic]) -> str:
    """Say what somebody has to run who may create topics."""
    prefix = ".".join(topics[0].name.split(".")[:2])
    return f"allow Create on topics that begin with {prefix}., or have somebody run: {'; '.join(map(_command, topics))}"


def _command(topic: NewTopic) -> str:
    numbers = f"--partitions {topic.partitions}"
    if topic.replicas > 0:
        numbers += f" --replication-factor {topic.replicas}"
    configs = " ".join(f"--config {key}={value}" for key, value in topic.configs.items())
    return f"kafka-topics.sh --create --topic {topic.name} {numbers} {configs}"


def _led(topic: TopicFacts) -> bool:
    return not topic.error and bool(topic.leaders) and min(topic.leaders) >= 0


def lanes_of(names: Names, queue: QueueName, levels: Sequence[int]) -> list[str]:
    """Return the topics of a queue, the highest priority first."""
    return [names.lane(queue, level) for level in levels]
