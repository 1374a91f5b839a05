"""The pushed results of one client: it follows its partition of the replies."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Sequence

from orcastra_core.interfaces.results import ResultFeed
from orcastra_core.model.errors import BrokerClosed, BrokerError, DeserializationError
from orcastra_core.model.result import Result
from orcastra_core.serialization.result_codec import decode_result
from orcastra_kafka import logs
from orcastra_kafka.core import Core
from orcastra_kafka.errors import CLIENT_ERRORS, translate
from orcastra_kafka.protocol.log import EARLIEST, Fetch
from orcastra_kafka.share.errors import KafkaCode, check
from orcastra_kafka.share.metadata import TopicFacts
from orcastra_kafka.share.pauses import pause
from orcastra_kafka.share.private import Connection

_log = logging.getLogger("orcastra.kafka")

REPLY = "reply"
"""The header with the channel that a result is pushed to."""
_PARK = 1.0
_PAUSE = 0.2


class KafkaFeed(ResultFeed):
    """Reads on from where it began, over lost connections too: nothing is missed that the topic still has."""

    def __init__(
        self,
        core: Core,
        channel: str,
        topic: TopicFacts,
        partition: int,
        offset: int,
        closed: Callable[[KafkaFeed], None],
    ) -> None:
        self.channel = channel
        self._header = (REPLY, channel.encode())
        self._core = core
        self._topic = topic
        self._partition = partition
        self._offset = offset
        self._on_closed = closed
        self._arrived: deque[Result] = deque()
        self._bell = asyncio.Event()
        self._closed = False
        self._failure: BrokerError | None = None
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Start to follow."""
        self._task = self._core.loop.create_task(self._follow(), name=f"kafka-feed-{self.channel}")

    async def next(self, *, wait: float) -> Sequence[Result]:
        self._check()
        if not self._arrived and self._failure is None and wait > 0:
            self._bell.clear()
            try:
                async with asyncio.timeout(wait):
                    await self._bell.wait()
            except TimeoutError:
                pass
            self._check()
        if not self._arrived and self._failure is not None:
            failure, self._failure = self._failure, None
            raise failure
        arrived, self._arrived = list(self._arrived), deque()
        return arrived

    async def close(self) -> None:
        self.drop()
        if self._task is not None:
            await asyncio.wait([self._task])

    def drop(self) -> asyncio.Task[None] | None:
        """Stop following; return what has to be waited for."""
        self._closed = True
        self._bell.set()
        self._on_closed(self)
        if self._task is not None:
            self._task.cancel()
        return self._task

    def _check(self) -> None:
        if self._closed:
            raise BrokerClosed("the feed, or its broker, was closed")

    async def _follow(self) -> None:
        connection: Connection | None = None
        try:
            while True:
                try:
                    if connection is None:
                        connection = await self._core.cluster.connect(self._topic.leaders[self._partition])
                    offsets = {(self._topic.id, self._partition): self._offset}
                    said = Fetch.read(await connection.send(Fetch(offsets=offsets, wait=_PARK)))
                    page = logs.page_of(said, self._topic, self._partition)
                    if page.error == KafkaCode.OFFSET_OUT_OF_RANGE:  # what was not read in time is gone
                        self._offset = await logs.offset_at(self._core, self._topic, self._partition, EARLIEST)
                        continue
                    check(page.error, doing=f"following {self._topic.name}")
                    if page.records:
                        self._take(logs.entries_of(page, self._offset))
                        self._offset = logs.next_offset(page, self._offset)
                except CLIENT_ERRORS as error:
                    _log.debug("feed %s: %s", self.channel, error)
                    if connection is not None:
                        connection.close()
                        connection = None
                    self._failure = translate(error, self._core.where)
                    self._bell.set()
                    await self._look_again()
        finally:
            if connection is not None:
                connection.close()

    def _take(self, entries: Sequence[logs.Entry]) -> None:
        for entry in entries:
            if self._header in entry.headers:
                try:
                    self._arrived.append(decode_result(entry.value))
                except DeserializationError:
                    continue  # somebody else's record
                self._bell.set()

    async def _look_again(self) -> None:
        await pause(_PAUSE)
        try:
            topic = await self._core.cluster.topic(self._topic.name)
        except CLIENT_ERRORS:
            return  # the next turn says so
        if topic.id != self._topic.id:  # it was removed and made anew
            self._offset = 0
        self._topic = topic
