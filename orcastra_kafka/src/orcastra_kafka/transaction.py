"""Transactions under one name: records of any topics, all of them or none, and one writer at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence

from orcastra_kafka.patience import pause
from orcastra_kafka.producer import MAX_BATCH_BYTES, Record
from orcastra_kafka.protocol.produce import InitProducerId, Produce, ProducerIdentity
from orcastra_kafka.protocol.transactions import TRANSACTION, AddPartitions, EndTransaction
from orcastra_kafka.share.cluster import Cluster
from orcastra_kafka.share.errors import COORDINATOR_MOVED, DENIED, LEADER_MOVED, KafkaCode, ShareError, check
from orcastra_kafka.share.metadata import FindCoordinator
from orcastra_kafka.share.private import BatchBuilder, KafkaError
from orcastra_kafka.share.wire import Request, T

_FENCED = frozenset({47, 90})
"""Invalid producer epoch, producer fenced."""
_CONCURRENT = 51
_DUPLICATE_SEQUENCE = 46
_NOT_OFFERED = 35
_AGAIN: frozenset[int] = (
    COORDINATOR_MOVED
    | LEADER_MOVED
    | {KafkaCode.REQUEST_TIMED_OUT, KafkaCode.NETWORK_EXCEPTION, 8, 19, 20, _CONCURRENT}
)
_PAUSE = 0.02
_MARKERS = 0.003
"""Seconds between two questions whether the last transaction's markers are written: on one machine that takes some milliseconds."""
_FIRST = 10.0
"""Seconds in which the brokers have to make their own log of transactions, for the first of a cluster."""
_FAREWELL = 1.0
_BROKEN = (KafkaError, OSError, TimeoutError, EOFError)


class Fenced(ShareError):
    """Somebody else has begun under the same name, or the coordinator has given this one up: nothing can be committed any more."""


class Transactions:
    """Commits records of any partitions together.

    Nothing runs in the background, and nothing is open between two calls. One call at a time.

    Args:
        cluster: Where. Stays its owner's.
        name: The transactional id: who begins under it fences whoever did before.
        timeout: Seconds that beginning, or committing, may take.
        codec: A compression's number, 0 for none.
    """

    def __init__(self, cluster: Cluster, name: str, *, timeout: float, codec: int = 0) -> None:
        self.name = name
        self._cluster = cluster
        self._timeout = timeout
        self._codec = codec
        self._loop = asyncio.get_running_loop()
        self._coordinator: int | None = None
        self._identity: ProducerIdentity | None = None
        self._sequences: dict[tuple[str, int], int] = {}
        self._leaders: dict[str, Sequence[int]] = {}
        self._turn = 0

    async def begin(self) -> None:
        """Be the one of this name from now on; what another left open is aborted, what he committed is there to be read.

        Raises:
            KafkaError, OSError, TimeoutError: It was not to be had in time.
        """
        self._identity = None
        said: list[ProducerIdentity] = []

        async def ask() -> int:
            said.append(await self._ask(InitProducerId(transactional=self.name, timeout=max(2 * self._timeout, 10.0))))
            return said[-1].error

        await self._insist(ask, "beginning", self._loop.time() + max(self._timeout, _FIRST))
        self._identity = said[-1]
        self._sequences.clear()

    @property
    def identity(self) -> ProducerIdentity | None:
        """Under which its batches are to be found in the logs; None before ``begin``, and after an error."""
        return self._identity

    def forget(self) -> None:
        """Have ``begin`` come first again: somebody else has been seen to write under this name."""
        self._identity = None

    async def commit(
        self,
        records: Sequence[Record],
        *,
        unless: Callable[[Mapping[tuple[str, int], int]], Awaitable[bool]] | None = None,
    ) -> bool:
        """Append these, all or none, and return when that is certain. ``begin`` comes first, also after any error.

        Args:
            records: What to append.
            unless: Called when all are in their logs and none has taken effect, with the offset of the first in each topic and
                partition: None of them takes effect if it answers True, and this call returns False. ``begin`` comes first then, too.

        Raises:
            Fenced: Somebody else began. An earlier try of this very call may have been committed.
            KafkaError, OSError, TimeoutError: None of them is there, unless the last answer was lost.
        """
        identity = self._identity
        assert identity is not None, "begin comes first"
        until = self._loop.time() + self._timeout
        begun = False
        try:
            placed = await self._place(records, until)
            partitions: dict[str, list[int]] = {}
            for topic, number in placed:
                partitions.setdefault(topic, []).append(number)
            begun = True
            await self._insist(
                lambda: self._ask(AddPartitions(self.name, identity, partitions)), "adding partitions", until
            )
            offsets = await self._append(placed, identity, until)
            if unless is not None and await unless(offsets):
                self._identity = None
                await self._abort(identity)
                return False
            await self._insist(lambda: self._ask(EndTransaction(self.name, identity, True)), "committing", until)
            return True
        except BaseException:
            self._identity = None
            if begun:
                await self._abort(identity)
            raise

    async def _place(self, records: Sequence[Record], until: float) -> dict[tuple[str, int], list[Record]]:
        topics = list(dict.fromkeys(record.topic for record in records))

        async def ask() -> int:
            await self._learn([topic for topic in topics if topic not in self._leaders])
            return 0

        await self._insist(ask, "looking for leaders", until)
        placed: dict[tuple[str, int], list[Record]] = {}
        for record in records:
            self._turn += 1
            number = (self._turn if record.spread is None else record.spread) % len(self._leaders[record.topic])
            placed.setdefault((record.topic, number), []).append(record)
        return placed

    async def _append(
        self, placed: dict[tuple[str, int], list[Record]], identity: ProducerIdentity, until: float
    ) -> Mapping[tuple[str, int], int]:
        try:
            async with asyncio.TaskGroup() as group:
                tasks = {
                    at: group.create_task(self._append_to(at, records, identity, until))
                    for at, records in placed.items()
                }
        except BaseExceptionGroup as errors:
            raise errors.exceptions[0] from None
        return {at: task.result() for at, task in tasks.items()}

    async def _append_to(
        self, at: tuple[str, int], records: Sequence[Record], identity: ProducerIdentity, until: float
    ) -> int:
        rest = list(records)
        found: list[int] = []
        while rest:
            size, number = 0, 0
            while number < len(rest) and (not number or size + rest[number].size <= MAX_BATCH_BYTES):
                size, number = size + rest[number].size, number + 1
            batch, rest = rest[:number], rest[number:]
            payload = self._build(at, identity, batch)

            async def ask(payload: bytes = payload) -> int:
                if at[0] not in self._leaders:
                    await self._learn([at[0]])
                leader = self._leaders[at[0]][at[1]]
                try:
                    said = await self._cluster.ask(leader, Produce(*at, payload, self._timeout, self.name))
                except _BROKEN:
                    self._leaders.pop(at[0], None)  # somebody else may lead by now
                    raise
                if said.error in LEADER_MOVED:
                    self._leaders.pop(at[0], None)
                if not said.error:
                    found.append(said.offset)
                return 0 if said.error == _DUPLICATE_SEQUENCE else said.error

            await self._insist(ask, f"topic {at[0]}", until)
            self._sequences[at] = self._sequences.get(at, 0) + len(batch)
        return min(found, default=-1)  # -1: it was there before, and the broker does not say where

    def _build(self, at: tuple[str, int], identity: ProducerIdentity, records: Sequence[Record]) -> bytes:
        builder = BatchBuilder(2, self._codec, 1, identity.id, identity.epoch, self._sequences.get(at, 0), 1 << 30)
        for offset, record in enumerate(records):
            builder.append(offset, None, record.key, record.value, list(record.headers))
        return bytes(builder.build())

    async def _learn(self, topics: Sequence[str]) -> None:
        if topics:
            facts = await self._cluster.metadata(topics)
            for topic in topics:
                check(facts.topics[topic].error, doing=f"topic {topic}")
                self._leaders[topic] = facts.topics[topic].leaders

    async def _abort(self, identity: ProducerIdentity) -> None:
        """Readers of what is committed wait for the end of a transaction: better now than by its timeout."""
        try:
            async with asyncio.timeout(_FAREWELL):
                await self._insist(
                    lambda: self._ask(EndTransaction(self.name, identity, False)),
                    "aborting",
                    self._loop.time() + _FAREWELL,
                )
        except _BROKEN:
            pass  # it is over already, or ends by its timeout

    async def _insist(self, ask: Callable[[], Awaitable[int]], doing: str, until: float) -> None:
        """Ask until it is answered with success. All that is asked here may be repeated."""
        heard_by = min(until, self._loop.time() + self._timeout)
        while True:
            over = until
            try:
                async with asyncio.timeout_at(min(until, self._loop.time() + self._timeout)):
                    code = await ask()
                if not code:
                    return
                error: BaseException = ShareError(code, doing=f"transaction {self.name}: {doing}")
            except _BROKEN as caught:
                code = int(getattr(caught, "code", KafkaCode.NETWORK_EXCEPTION))
                error = caught
                over = until if isinstance(caught, ShareError) else heard_by
            if code in _FENCED:
                raise Fenced(code, doing=f"transaction {self.name}: {doing}")
            if code not in _AGAIN or code in DENIED or self._loop.time() + _PAUSE >= over:
                raise error
            if code != _CONCURRENT:
                self._coordinator = None
            await pause(_MARKERS if code == _CONCURRENT else _PAUSE)

    async def _ask(self, request: Request[T]) -> T:
        if self._coordinator is None:
            found = await self._cluster.ask_any(FindCoordinator(self.name, TRANSACTION))
            check(found.error, found.message, doing=f"the coordinator of transaction {self.name}")
            self._cluster.learn([found.node])
            self._coordinator = found.node.id
        return await self._cluster.ask(self._coordinator, request)
