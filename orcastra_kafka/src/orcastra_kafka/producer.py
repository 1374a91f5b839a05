"""An idempotent producer whose linger is 0: while a partition's batch is on its way, the next one gathers."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from typing import NamedTuple

from orcastra_core.model.errors import BrokerClosed, BrokerError, BrokerTimeout
from orcastra_kafka.batch import Batch, Room
from orcastra_kafka.errors import CLIENT_ERRORS, translate
from orcastra_kafka.protocol.produce import InitProducerId, Produce, Produced, ProducerIdentity
from orcastra_kafka.share.cluster import Cluster
from orcastra_kafka.share.errors import LEADER_MOVED, KafkaCode, ShareError, check
from orcastra_kafka.share.pauses import pause

MAX_BATCH_BYTES = 1 << 20
_LARGE = Room(1 << 30, MAX_BATCH_BYTES)
_SMALL = Room(1000, 256 << 10)
"""For topics that are read by share groups: a fetch of a few records transfers the whole of their batches, each time."""
_PAUSE = 0.05
_DUPLICATE_SEQUENCE = 46
_OUT_OF_SEQUENCE = frozenset({45, 47, 59})
_AGAIN = LEADER_MOVED | {KafkaCode.REQUEST_TIMED_OUT, KafkaCode.NETWORK_EXCEPTION, 8, 19, 20, 51}
_LAST_SEQUENCE = 0x7FFFFFFF


class Record(NamedTuple):
    """What is to be appended. A named tuple, for many are made.

    Attributes:
        topic: Where.
        value: None says that what was said of the key before is void.
        spread: Records of a topic with equal numbers keep to one partition; None: any.
    """

    topic: str
    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes]] = ()
    spread: int | None = None

    @property
    def size(self) -> int:
        """About how many bytes it takes."""
        return 64 + len(self.value or b"") + len(self.key or b"") + sum(16 + len(value) for _, value in self.headers)


class Producer:
    """Appends records; each is confirmed by all replicas in sync, once, whatever had to be repeated on the way.

    For one event loop. A task a partition that has something to send.

    Args:
        cluster: Where.
        where: What it is called in messages.
        codec: A compression's number, 0 for none.
        timeout: Seconds until a record that was not confirmed is given up: it may have been appended.

    Attributes:
        scatter: Whether the records of one call go to all partitions in turn, for those who read one each.
        shared: What topics that are read by share groups begin with; None: there are none.
    """

    def __init__(self, cluster: Cluster, *, where: str, codec: int, timeout: float) -> None:
        self._cluster = cluster
        self._where = where
        self._codec = codec
        self._timeout = timeout
        self.scatter = False
        self.shared: str | None = None
        self._loop = asyncio.get_running_loop()
        self._leaders: dict[str, Sequence[int]] = {}
        self._waiting: dict[tuple[str, int], deque[Batch]] = {}
        self._sending: dict[tuple[str, int], asyncio.Task[None]] = {}
        self._sequences: dict[tuple[str, int], int] = {}
        self._identity: ProducerIdentity | None = None
        self._identifying = asyncio.Lock()
        self._turn = 0
        self._closed = False

    async def send(self, records: Sequence[Record]) -> list[BrokerError | None]:
        """Append records; return for each None, or why it is not known to be there.

        Cancelling gives up the answer, not the records.
        """
        if not records:
            return []
        if self._closed:
            raise BrokerClosed("the broker was closed")
        unknown = {record.topic for record in records} - self._leaders.keys()
        if unknown:
            try:
                await self._learn(unknown)
            except CLIENT_ERRORS as error:
                return [translate(error, self._where)] * len(records)
        batches = self._gather(records)
        different = list(dict.fromkeys(batches))
        answers = {batch: await asyncio.shield(batch.done) for batch in different}
        if len(different) == 1:
            return [answers[different[0]]] * len(records)
        return [answers[batch] for batch in batches]

    def forget(self) -> None:
        """Topics may have been removed and made anew: look again who leads them."""
        self._leaders.clear()

    async def close(self) -> None:
        """Give up what is on its way, and end."""
        self._closed = True
        tasks = list(self._sending.values())
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
        for waiting in self._waiting.values():
            for batch in waiting:
                batch.answer(BrokerClosed("the broker was closed"))
        self._waiting.clear()

    def _gather(self, records: Sequence[Record]) -> list[Batch]:
        """Put records into the batches that gather; return the batch of each."""
        self._turn += 1
        batches: list[Batch] = []
        for number, (topic, key, value, headers, spread) in enumerate(records):
            room = _SMALL if self.shared is not None and topic.startswith(self.shared) else _LARGE
            if spread is None:
                spread = self._turn
                if self.scatter or number % room.records == room.records - 1:
                    self._turn += 1
            at = (topic, spread % len(self._leaders[topic]))
            waiting = self._waiting.get(at)
            if waiting is None:
                waiting = self._waiting[at] = deque()
            if not waiting or not waiting[-1].has_room(len(value or b""), room):
                waiting.append(Batch(self._codec, self._loop.create_future()))
            batch = waiting[-1]
            batch.append(key, value, headers)
            batches.append(batch)
            if at not in self._sending:
                self._sending[at] = self._loop.create_task(self._drain(at, waiting), name=f"kafka-produce-{topic}")
        return batches

    async def _learn(self, topics: set[str]) -> None:
        facts = await self._cluster.metadata(list(topics))
        for topic in topics:
            check(facts.topics[topic].error, doing=f"topic {topic}")
            self._leaders[topic] = facts.topics[topic].leaders

    async def _drain(self, at: tuple[str, int], waiting: deque[Batch]) -> None:
        batch: Batch | None = None
        try:
            while waiting:
                batch = waiting.popleft()
                batch.answer(await self._deliver(at, batch))
        except asyncio.CancelledError:
            if batch is not None:
                batch.answer(BrokerClosed("the broker was closed"))
            raise
        except Exception as error:  # noqa: BLE001 - whatever it is, its callers are told and the next ones served
            for one in [batch, *waiting]:
                if one is not None:
                    one.answer(translate(error, self._where))
            waiting.clear()
        finally:
            del self._sending[at]
            if not waiting:
                self._waiting.pop(at, None)

    async def _deliver(self, at: tuple[str, int], batch: Batch) -> BrokerError | None:
        until = self._loop.time() + self._timeout
        identity: ProducerIdentity | None = None
        payload = b""
        doubt = False  # an earlier try may have been appended
        failure: BrokerError = BrokerTimeout(f"{self._where}: no answer within {self._timeout:g} s")
        while True:
            try:
                async with asyncio.timeout_at(until):
                    if identity is None:
                        identity = await self._identify()
                        payload = batch.payload(identity, self._sequences.get(at, 0))
                    said = await self._try(at, payload)
                if said.error in (KafkaCode.NONE, _DUPLICATE_SEQUENCE):
                    if self._identity is identity:
                        self._sequences[at] = (self._sequences.get(at, 0) + batch.number) & _LAST_SEQUENCE
                    return None
                error: BaseException = ShareError(said.error, said.message, doing=f"topic {at[0]}")
                if said.error in _OUT_OF_SEQUENCE and not doubt:
                    self._renounce(identity)
                    identity, doubt = None, True
                elif said.error not in _AGAIN:
                    self._renounce(identity)
                    return translate(error, self._where)
                failure = translate(error, self._where)
            except CLIENT_ERRORS as caught:
                doubt = True
                failure = translate(caught, self._where)
            if self._loop.time() + _PAUSE >= until:
                self._renounce(identity)
                failure.retryable = True
                return failure
            await self._look_again(at[0])

    async def _try(self, at: tuple[str, int], payload: bytes) -> Produced:
        if at[0] not in self._leaders:
            await self._learn({at[0]})
        leader = self._leaders[at[0]][at[1]]
        return await self._cluster.ask(leader, Produce(at[0], at[1], payload, self._timeout))

    async def _look_again(self, topic: str) -> None:
        await pause(_PAUSE)
        try:
            async with asyncio.timeout(self._timeout / 4):
                await self._learn({topic})
        except CLIENT_ERRORS:
            pass  # the next try says what is wrong

    async def _identify(self) -> ProducerIdentity:
        async with self._identifying:
            while self._identity is None:
                said = await self._cluster.ask_any(InitProducerId())
                check(said.error, doing="asking for a producer id")
                self._identity = said
                self._sequences.clear()
            return self._identity

    def _renounce(self, identity: ProducerIdentity | None) -> None:
        """A batch was given up: under this identity there would be a hole in its partition's sequence."""
        if identity is not None and self._identity is identity:
            self._identity = None
