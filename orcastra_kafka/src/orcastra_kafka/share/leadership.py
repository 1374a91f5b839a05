"""What partitions some topics have, and who leads them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence

from orcastra_kafka.share.cluster import Cluster
from orcastra_kafka.share.errors import TOPIC_GONE, KafkaCode, ShareError, check
from orcastra_kafka.share.messages import Partition
from orcastra_kafka.share.metadata import partitions_of
from orcastra_kafka.share.pauses import pause, pause_unless
from orcastra_kafka.share.private import KafkaError

_log = logging.getLogger(__name__)

_REFRESH = 60.0
_RETRY = 0.1


class Leadership:
    """Reads the metadata of topics: now and then, and whenever something was found to be otherwise.

    Args:
        cluster: Where.
        topics: Which. They must exist.
        changed: Called when it was read.

    Attributes:
        leaders: The leader of each partition, -1 for none.
        gone: Why a topic is not what it was, until somebody has taken note of it.
    """

    def __init__(self, cluster: Cluster, topics: Sequence[str], changed: Callable[[], None]) -> None:
        self.leaders: Mapping[Partition, int] = {}
        self.gone: BaseException | None = None
        self._cluster = cluster
        self._topics = topics
        self._changed = changed
        self._names: dict[bytes, str] = {}
        self._doubted = asyncio.Event()

    def name(self, topic: bytes) -> str:
        """Return the name of a topic."""
        return self._names[topic]

    def doubt(self) -> None:
        """Read it again."""
        self._doubted.set()

    async def read(self) -> None:
        """Read it. Raises KafkaError, OSError or TimeoutError."""
        facts = await self._cluster.metadata(self._topics)
        leaders: dict[Partition, int] = {}
        for name in self._topics:
            topic = facts.topics[name]
            check(topic.error, doing=f"topic {name}")
            if topic.id not in self._names and name in self._names.values():
                self.gone = ShareError(
                    KafkaCode.UNKNOWN_TOPIC_ID, "it was removed and made anew", doing=f"topic {name}"
                )
            self._names[topic.id] = name
            leaders.update(zip(partitions_of(topic), topic.leaders, strict=True))
        self.leaders = leaders

    async def keep(self) -> None:
        """Keep it up to date until cancelled."""
        while True:
            self._doubted.clear()
            await pause_unless(self._doubted, _REFRESH)
            try:
                await self.read()
                self._changed()
            except (KafkaError, OSError, TimeoutError) as error:
                _log.debug("metadata of %s: %s", self._topics, error)
                if getattr(error, "code", None) in TOPIC_GONE:
                    self.gone = error
                self._doubted.set()
            await pause(_RETRY)
