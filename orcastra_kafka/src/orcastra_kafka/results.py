"""Results: a topic to look them up in, and one that pushes them to those who wait."""

from __future__ import annotations

import secrets
from collections import defaultdict
from collections.abc import Callable, Sequence
from functools import partial
from typing import Protocol
from zlib import crc32

from orcastra_core.interfaces.results import ResultFeed, ResultStore
from orcastra_core.model.errors import DeserializationError
from orcastra_core.model.ids import TaskId, bytes_of, text_of
from orcastra_core.model.result import Absence, Result
from orcastra_core.serialization.result_codec import decode_result, encode_result
from orcastra_kafka import logs
from orcastra_kafka.core import Core
from orcastra_kafka.errors import CLIENT_ERRORS, translate
from orcastra_kafka.feed import REPLY, KafkaFeed
from orcastra_kafka.patience import led
from orcastra_kafka.producer import Record
from orcastra_kafka.protocol.log import LATEST
from orcastra_kafka.result_index import ResultIndex
from orcastra_kafka.share.metadata import TopicFacts

UNTIL = "until"
"""The header with the Unix milliseconds until which a result is kept."""

_SKEW_MS = 10_000
"""So far a worker's clock may be behind that of the client which made the id."""


class Keeper(Protocol):
    """What keeps track of open feeds."""

    def add(self, feed: KafkaFeed, /) -> None: ...

    def discard(self, feed: KafkaFeed, /) -> None: ...


def result_records(core: Core, result: Result, reply: str | None) -> list[Record]:
    """Return what stores a result, and what pushes it."""
    value = encode_result(result)
    key = bytes_of(result.id)
    records: list[Record] = []
    if result.ttl > 0:
        until = str(round((core.clock.now() + result.ttl) * 1000)).encode()
        records.append(Record(core.names.results, key, value, ((UNTIL, until),), spread=crc32(key)))
    if reply is not None:
        header = reply.encode()
        records.append(Record(core.names.replies, key, value, ((REPLY, header),), spread=crc32(header)))
    return records


def forgotten(core: Core, task_id: TaskId) -> Record:
    """Return what takes a result away: it has no value."""
    key = bytes_of(task_id)
    return Record(core.names.results, key, None, spread=crc32(key))


class KafkaResults(ResultStore):
    """Results by the id of their task, which says when to begin to look: a look-up reads from there on."""

    def __init__(self, core_of: Callable[[], Core], feeds: Keeper) -> None:
        self._core_of = core_of
        self._feeds = feeds
        self._indexes: Sequence[ResultIndex] = ()
        self._indexed: Core | None = None

    async def put(self, batch: Sequence[tuple[Result, str | None]], /) -> None:
        core = self._core_of()
        records = [record for result, reply in batch for record in result_records(core, result, reply)]
        await core.ensure_results()
        for failure in await core.producer.send(records):
            if failure is not None:
                raise failure

    async def get(self, ids: Sequence[TaskId], /) -> Sequence[Result | Absence]:
        core = self._core_of()
        found: dict[TaskId, Result] = {}
        try:
            indexes = await self._open_indexes(core)
            by_index: dict[ResultIndex, set[bytes]] = defaultdict(set)
            for key in filter(None, map(_key, ids if indexes else ())):
                by_index[indexes[crc32(key) % len(indexes)]].add(key)
            for index, keys in by_index.items():
                oldest = max(0, int.from_bytes(min(keys)[:6], "big") - _SKEW_MS)
                for entry in await index.entries(keys, oldest):
                    self._take(core, entry, found)
        except CLIENT_ERRORS as error:
            self._indexes = ()  # whatever it is, it may be another topic
            raise translate(error, core.where) from error
        return [found.get(task_id, Absence.PENDING) for task_id in ids]

    async def subscribe(self) -> ResultFeed:
        core = self._core_of()
        await core.ensure_results()
        channel = secrets.token_hex(8)
        try:
            feed = await led(partial(self._feed, core, channel), within=core.settings.timeout)
        except CLIENT_ERRORS as error:
            raise translate(error, core.where) from error
        self._feeds.add(feed)
        feed.start()
        return feed

    async def prune(self, *, limit: int) -> int:
        core = self._core_of()
        pruned = 0
        try:
            topic = await logs.find(core, core.names.results)
            for partition in range(len(topic.leaders) if topic is not None else 0):
                assert topic is not None
                before, count = await self._expired(core, topic, partition, limit - pruned)
                if count:
                    await logs.cut(core, topic, {partition: before})
                    pruned += count
        except CLIENT_ERRORS as error:
            raise translate(error, core.where) from error
        return pruned

    @staticmethod
    async def _expired(core: Core, topic: TopicFacts, partition: int, limit: int) -> tuple[int, int]:
        """Return up to where the oldest results have outlived their time, and how many they are."""
        now, count, before = core.clock.now() * 1000, 0, 0
        async for page in logs.read(core, topic, partition, 0):
            for entry in page:
                if count >= limit or _until(entry) > now:
                    return before, count
                before, count = entry.offset + 1, count + 1
        return before, count

    async def _feed(self, core: Core, channel: str) -> KafkaFeed:
        topic = await core.cluster.topic(core.names.replies)
        partition = crc32(channel.encode()) % len(topic.leaders)
        offset = await logs.offset_at(core, topic, partition, LATEST)
        return KafkaFeed(core, channel, topic, partition, offset, self._feeds.discard)

    async def _open_indexes(self, core: Core) -> Sequence[ResultIndex]:
        """Return the index of each partition; none while there is no log of results."""
        if not self._indexes or self._indexed is not core:
            topic = await logs.find(core, core.names.results)
            if topic is None:
                return ()
            self._indexed = core
            self._indexes = [ResultIndex(core, topic, number) for number in range(len(topic.leaders))]
        return self._indexes

    @staticmethod
    def _take(core: Core, entry: logs.Entry, found: dict[TaskId, Result]) -> None:
        if not entry.value and entry.key is not None:
            found.pop(text_of(entry.key), None)
            return
        try:
            result = decode_result(entry.value)
        except DeserializationError:
            return  # somebody else's record
        before = found.get(result.id)
        if before is not None and before.ended_at > result.ended_at:
            return
        if _until(entry) > core.clock.now() * 1000:
            found[result.id] = result
        else:
            found.pop(result.id, None)


def _until(entry: logs.Entry) -> int:
    """Return the Unix milliseconds until which a result is kept; 0 for somebody else's record."""
    try:
        return int(dict(entry.headers)[UNTIL])
    except (KeyError, ValueError):
        return 0


def _key(task_id: TaskId) -> bytes | None:
    """Return the bytes of an id; None for a text that is none, of which there is no result."""
    try:
        key = bytes_of(task_id)
    except ValueError:
        return None
    return key if len(key) == 16 else None
