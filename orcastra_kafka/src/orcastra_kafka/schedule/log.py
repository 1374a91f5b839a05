"""Reading the log of schedules: where it ends, what follows, and single records again."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from typing import TypeVar

import attrs

from orcastra_kafka.core import Core
from orcastra_kafka.errors import CLIENT_ERRORS
from orcastra_kafka.logs import effective
from orcastra_kafka.patience import led
from orcastra_kafka.protocol.log import LATEST, Fetch, ListOffsets, Page
from orcastra_kafka.share.errors import KafkaCode, ShareError, check
from orcastra_kafka.share.metadata import TopicFacts

T = TypeVar("T")

_AROUND = 256 << 10
"""Bytes that are read at once where single records are wanted."""


@attrs.frozen
class Writer:
    """Who wrote a batch in a transaction. Attributes: the producer's id and epoch, and when by its clock, Unix seconds."""

    id: int
    epoch: int
    at: float


@attrs.frozen(eq=False)
class Batch:
    """Records that took effect.

    Attributes:
        base: The first one's offset, when it was written.
        writer: None outside of transactions.
        records: Offset, key, value and headers of each.
    """

    base: int
    writer: Writer | None
    records: Sequence[tuple[int, bytes, bytes | None, Sequence[tuple[str, bytes]]]]


def batches_of(page: Page, begin: int) -> Iterator[Batch]:
    """Yield what a page has from an offset on, without what was aborted."""
    for batch in effective(page):
        writer: Writer | None = None
        if batch.is_transactional:
            writer = Writer(batch.producer_id, batch.producer_epoch, batch.max_timestamp / 1000)
        records = [
            (record.offset, record.key, record.value, record.headers)
            for record in batch
            if record.offset >= begin and record.key is not None
        ]
        if records:
            yield Batch(batch.base_offset, writer, records)


class Log:
    """The topic, for one event loop. Every method raises KafkaError, OSError or TimeoutError.

    Attributes:
        facts: Of the topic, as they were when it was opened; who leads is looked up anew where that has changed.
    """

    def __init__(self, core: Core, facts: TopicFacts) -> None:
        self._core = core
        self.facts = facts
        self._stale = False

    @classmethod
    async def open(cls, core: Core) -> Log:
        """Find the topic."""

        async def find() -> TopicFacts:
            facts = await core.cluster.topic(core.names.schedule)
            if not facts.leaders or min(facts.leaders) < 0:
                raise ShareError(5, doing=f"topic {facts.name}")
            return facts

        return cls(core, await led(find))

    @property
    def partitions(self) -> int:
        """How many there are."""
        return len(self.facts.leaders)

    async def ends(self) -> Mapping[int, int]:
        """Return the offset behind the last record of each partition, open transactions included."""

        async def ask() -> Mapping[int, int]:
            by_leader: dict[int, list[int]] = defaultdict(list)
            for number, leader in enumerate(self.facts.leaders):
                by_leader[leader].append(number)
            ends: dict[int, int] = {}
            for leader, numbers in by_leader.items():
                said = await self._core.cluster.ask(
                    leader, ListOffsets(self.facts.name, dict.fromkeys(numbers, LATEST), committed=False)
                )
                for number, (error, offset) in said.items():
                    check(error, doing=f"the end of {self.facts.name}")
                    ends[number] = offset
            return ends

        return await self._led(ask)

    async def page(self, partition: int, offset: int, max_bytes: int = 4 << 20) -> Page:
        """Return what a partition has behind an offset."""
        at = (self.facts.id, partition)

        async def ask() -> Page:
            request = Fetch(offsets={at: offset}, max_bytes=max_bytes)
            page = (await self._core.cluster.ask(self.facts.leaders[partition], request))[at]
            check(page.error, doing=f"reading {self.facts.name}")
            return page

        return await self._led(ask)

    async def values(self, partition: int, offsets: Sequence[int]) -> Mapping[int, bytes]:
        """Return the values of single records, by offset; what was compacted away is missing."""
        wanted = sorted(set(offsets))
        found: dict[int, bytes] = {}
        while wanted:
            page = await self.page(partition, wanted[0], _AROUND)
            behind = wanted[0] + 1
            asked = set(wanted)
            for batch in batches_of(page, wanted[0]):
                for offset, _, value, _ in batch.records:
                    if offset in asked and value:
                        found[offset] = value
                    behind = max(behind, offset + 1)
            wanted = [offset for offset in wanted if offset >= behind]
        return found

    async def _led(self, ask: Callable[[], Awaitable[T]]) -> T:
        """Ask those who lead; after an error they are looked up anew, which may be for the next call to do."""

        async def attempt() -> T:
            if self._stale:
                facts = await self._core.cluster.topic(self.facts.name)
                if facts.id != self.facts.id:
                    raise ShareError(KafkaCode.UNKNOWN_TOPIC_ID, doing=f"topic {facts.name}")
                self.facts, self._stale = facts, False
            try:
                return await ask()
            except CLIENT_ERRORS:
                self._stale = True
                raise

        return await led(attempt)
