"""Reading a topic as a log: pages of it, its ends, and what is cut off."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import attrs

from orcastra_kafka.core import Core
from orcastra_kafka.patience import led, pause
from orcastra_kafka.protocol.log import EARLIEST, LATEST, DeleteRecords, Fetch, ListOffsets, Page
from orcastra_kafka.share.errors import KafkaCode, ShareError, check
from orcastra_kafka.share.messages import Partition
from orcastra_kafka.share.metadata import TopicFacts
from orcastra_kafka.share.private import MemoryRecords

MARKERS = 1.0
"""Seconds that the end of a transaction, once confirmed, may take to be read."""
_PAUSE = 0.005
PAGE = 4 << 20
"""Bytes that are asked for at a time."""


@attrs.frozen(eq=False)
class Entry:
    """One record. Attributes: its ``offset``, its ``timestamp`` in Unix milliseconds, and what was produced."""

    offset: int
    timestamp: int
    key: bytes | None
    value: bytes
    headers: Sequence[tuple[str, bytes]]


def effective(page: Page) -> Iterator[Any]:
    """Yield the batches of a page whose records took effect, without those of aborted transactions."""
    aborted = sorted(page.aborted, key=lambda one: one[1])
    aborting: set[int] = set()
    batches = MemoryRecords(page.records)
    while batches.has_next():
        batch = batches.next_batch()
        if batch is None:
            break
        while aborted and aborted[0][1] <= batch.base_offset:
            aborting.add(aborted.pop(0)[0])
        if batch.is_control_batch:
            aborting.discard(batch.producer_id)  # its transaction ends here, either way
        elif not (batch.is_transactional and batch.producer_id in aborting):
            yield batch


def entries_of(page: Page, begin: int) -> list[Entry]:
    """Return the records of a page that took effect, from ``begin`` on."""
    return [
        Entry(record.offset, record.timestamp, record.key, record.value or b"", record.headers)
        for batch in effective(page)
        for record in batch
        if record.offset >= begin
    ]


async def find(core: Core, name: str) -> TopicFacts | None:
    """Return a topic's facts; None if there is none."""
    facts = (await core.cluster.metadata([name])).topics[name]
    if facts.error == KafkaCode.UNKNOWN_TOPIC_OR_PARTITION:
        return None
    check(facts.error, doing=f"topic {name}")
    return facts


async def offset_at(core: Core, topic: TopicFacts, partition: int, time: int) -> int:
    """Return the first offset of a time (LATEST, EARLIEST or Unix milliseconds); the end, where nothing is that young."""

    async def ask() -> int:
        facts = await core.cluster.topic(topic.name)
        error, offset = (await core.cluster.ask(facts.leaders[partition], ListOffsets(topic.name, {partition: time})))[
            partition
        ]
        check(error, doing=f"offsets of {topic.name}")
        return offset

    offset = await led(ask, within=core.settings.timeout)
    return offset if offset >= 0 or time < 0 else await offset_at(core, topic, partition, LATEST)


async def settled_end(core: Core, topic: TopicFacts, partition: int, *, within: float) -> tuple[int, bool]:
    """Return the end of what is committed, and whether that is the end of all there was when it was asked for.

    A transaction is confirmed a moment before its records can be read. So others that are under way are waited for, up to
    ``within`` seconds: none that was confirmed before the call is missed.
    """

    async def ask(*, committed: bool) -> int:
        facts = await core.cluster.topic(topic.name)
        request = ListOffsets(topic.name, {partition: LATEST}, committed=committed)
        error, offset = (await core.cluster.ask(facts.leaders[partition], request))[partition]
        check(error, doing=f"the end of {topic.name}")
        return offset

    end = await led(partial(ask, committed=False), within=core.settings.timeout)
    until = core.loop.time() + within
    while (settled := await led(partial(ask, committed=True), within=core.settings.timeout)) < end:
        if core.loop.time() >= until:
            return settled, False
        await pause(_PAUSE)
    return settled, True


async def page(core: Core, topic: TopicFacts, partition: int, at: int, *, most: int = PAGE) -> Page | None:
    """Return what lies from an offset on, at most about ``most`` bytes of it; None if that offset is not there."""
    leaders = topic.leaders

    async def ask() -> Page:
        nonlocal leaders
        try:
            request = Fetch(offsets={(topic.id, partition): at}, max_bytes=most)
            found = page_of(await core.cluster.ask(leaders[partition], request), topic, partition)
            if found.error != KafkaCode.OFFSET_OUT_OF_RANGE:
                check(found.error, doing=f"reading {topic.name}")
            return found
        except ShareError:
            leaders = (await core.cluster.topic(topic.name)).leaders
            raise

    found = await led(ask, within=core.settings.timeout)
    return None if found.error else found


def page_of(said: Mapping[Partition, Page], topic: TopicFacts, partition: int) -> Page:
    """Return the page of the one partition that was asked for."""
    found = said.get((topic.id, partition))
    if found is None:
        raise ShareError(KafkaCode.UNKNOWN_TOPIC_ID, doing=f"reading {topic.name}")
    return found


async def read(core: Core, topic: TopicFacts, partition: int, begin: int) -> AsyncIterator[list[Entry]]:
    """Yield what a partition has from ``begin`` on, up to its end of now, page by page."""
    end, _ = await settled_end(core, topic, partition, within=MARKERS)
    at = max(begin, await offset_at(core, topic, partition, EARLIEST))
    while at < end:
        found = await page(core, topic, partition, at)
        if found is None:  # somebody has cut it off meanwhile
            at = max(at + 1, await offset_at(core, topic, partition, EARLIEST))
            continue
        entries = entries_of(found, at)
        if entries:
            yield entries
        at = next_offset(found, at)


def next_offset(page: Page, at: int) -> int:
    """Return the offset behind a page: batches may end in records that were compacted away, or in none to be seen."""
    batches = MemoryRecords(page.records)
    behind = at
    while batches.has_next():
        batch = batches.next_batch()
        if batch is None:
            break
        behind = max(behind, batch.next_offset)
    return behind if behind > at else page.end


async def cut(core: Core, topic: TopicFacts, before: Mapping[int, int]) -> None:
    """Drop what lies before offsets."""

    async def ask(partition: int, offset: int) -> None:
        facts = await core.cluster.topic(topic.name)
        request = DeleteRecords(topic.name, {partition: offset}, core.settings.timeout)
        said = await core.cluster.ask(facts.leaders[partition], request)
        check(said[partition][1], doing=f"trimming {topic.name}")

    for partition, offset in before.items():
        await led(partial(ask, partition, offset), within=core.settings.timeout)
