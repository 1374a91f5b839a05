"""An idempotent producer whose linger is 0: while a partition's batch is on its way, the next one gathers."""

from __future__ import annotations

import asyncio
from collections import defaultdict, deque
from collections.abc import Sequence

import attrs

from orcastra_core.model.errors import BrokerClosed, BrokerError, BrokerTimeout
from orcastra_kafka.errors import CLIENT_ERRORS, translate
from orcastra_kafka.protocol.produce import InitProducerId, Produce, Produced, ProducerIdentity
from orcastra_kafka.share.cluster import Cluster
from orcastra_kafka.share.errors import LEADER_MOVED, KafkaCode, ShareError, check
from orcastra_kafka.share.private import BatchBuilder

MAX_BATCH_BYTES = 1 << 20
_PAUSE = 0.05
_DUPLICATE_SEQUENCE = 46
_OUT_OF_SEQUENCE = frozenset({45, 47, 59})
_AGAIN = LEADER_MOVED | {KafkaCode.REQUEST_TIMED_OUT, KafkaCode.NETWORK_EXCEPTION, 8, 19, 20, 51}


@attrs.frozen(eq=False)
class Record:
    """What is to be appended.

    Attributes:
        topic: Where.
        spread: Records of a topic with equal numbers keep to one partition; None: any.
    """

    topic: str
    key: bytes | None
    value: bytes
    headers: Sequence[tuple[str, bytes]] = ()
    spread: int | None = None

    @property
    def size(self) -> int:
        """About how many bytes it takes."""
        return 64 + len(self.value) + len(self.key or b"")


@attrs.define(eq=False)
class _Chunk:
    """Records of one call for one partition."""

    records: list[Record]
    size: int
    done: asyncio.Future[BrokerError | None]


class Producer:
    """Appends records; each is confirmed by all replicas in sync, once, whatever had to be repeated on the way.

    For one event loop. A task a partition that has something to send.

    Args:
        cluster: Where.
        where: What it is called in messages.
        codec: A compression's number, 0 for none.
        timeout: Seconds until a record that was not confirmed is given up: it may have been appended.
        scatter: Whether the records of one call go to all partitions in turn, for those who read one each.
    """

    def __init__(self, cluster: Cluster, *, where: str, codec: int, timeout: float, scatter: bool = False) -> None:
        self._cluster = cluster
        self._where = where
        self._codec = codec
        self._timeout = timeout
        self._scatter = scatter
        self._loop = asyncio.get_running_loop()
        self._leaders: dict[str, Sequence[int]] = {}
        self._waiting: dict[tuple[str, int], deque[_Chunk]] = defaultdict(deque)
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
        try:
            await self._learn({record.topic for record in records})
        except CLIENT_ERRORS as error:
            return [translate(error, self._where)] * len(records)
        self._turn += 1
        chunks: dict[tuple[str, int], _Chunk] = {}
        places: list[_Chunk] = []
        for record in records:
            partitions = len(self._leaders[record.topic])
            at = (record.topic, (self._turn if record.spread is None else record.spread) % partitions)
            chunk = chunks.get(at)
            if chunk is None or chunk.size + record.size > MAX_BATCH_BYTES:
                chunk = chunks[at] = _Chunk([], 0, self._loop.create_future())
                self._waiting[at].append(chunk)
            if self._scatter:
                self._turn += 1
            chunk.records.append(record)
            chunk.size += record.size
            places.append(chunk)
        for at in chunks:
            if at not in self._sending:
                self._sending[at] = self._loop.create_task(self._drain(at), name=f"kafka-produce-{at[0]}")
        unique = list(dict.fromkeys(places))
        answers = dict(zip(unique, [await asyncio.shield(chunk.done) for chunk in unique], strict=True))
        return [answers[chunk] for chunk in places]

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
        for chunks in self._waiting.values():
            for chunk in chunks:
                _answer([chunk], BrokerClosed("the broker was closed"))
        self._waiting.clear()

    async def _learn(self, topics: set[str], *, again: bool = False) -> None:
        unknown = [topic for topic in topics if again or topic not in self._leaders]
        if unknown:
            facts = await self._cluster.metadata(unknown)
            for topic in unknown:
                check(facts.topics[topic].error, doing=f"topic {topic}")
                self._leaders[topic] = facts.topics[topic].leaders

    async def _drain(self, at: tuple[str, int]) -> None:
        waiting = self._waiting[at]
        batch: list[_Chunk] = []
        try:
            while waiting:
                batch, size = [], 0
                while waiting and (not batch or size + waiting[0].size <= MAX_BATCH_BYTES):
                    chunk = waiting.popleft()
                    batch.append(chunk)
                    size += chunk.size
                _answer(batch, await self._deliver(at, [record for chunk in batch for record in chunk.records]))
        except asyncio.CancelledError:
            _answer(batch, BrokerClosed("the broker was closed"))
            raise
        except Exception as error:  # noqa: BLE001 - whatever it is, its callers are told and the next ones served
            _answer([*batch, *waiting], translate(error, self._where))
            waiting.clear()
        finally:
            del self._sending[at]
            if not waiting:
                self._waiting.pop(at, None)

    async def _deliver(self, at: tuple[str, int], records: Sequence[Record]) -> BrokerError | None:
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
                        payload = self._build(at, identity, records)
                    said = await self._try(at, payload)
                if said.error in (KafkaCode.NONE, _DUPLICATE_SEQUENCE):
                    if self._identity is identity:
                        self._sequences[at] = self._sequences.get(at, 0) + len(records)
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
        await self._learn({at[0]})
        leader = self._leaders[at[0]][at[1]]
        return await self._cluster.ask(leader, Produce(at[0], at[1], payload, self._timeout))

    async def _look_again(self, topic: str) -> None:
        try:
            async with asyncio.timeout(_PAUSE):
                await self._loop.create_future()
        except TimeoutError:
            pass
        try:
            async with asyncio.timeout(self._timeout / 4):
                await self._learn({topic}, again=True)
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

    def _build(self, at: tuple[str, int], identity: ProducerIdentity, records: Sequence[Record]) -> bytes:
        builder = BatchBuilder(2, self._codec, 0, identity.id, identity.epoch, self._sequences.get(at, 0), 1 << 30)
        for offset, record in enumerate(records):
            builder.append(offset, None, record.key, record.value, list(record.headers))
        return bytes(builder.build())


def _answer(chunks: Sequence[_Chunk], answer: BrokerError | None) -> None:
    for chunk in chunks:
        if not chunk.done.done():
            chunk.done.set_result(answer)
