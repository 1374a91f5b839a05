"""Transactions under one transactional id: whoever takes it has it alone, until the next one does."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TypeAlias, TypeVar

import attrs

from orcastra_core.model.errors import AuthenticationFailed
from orcastra_kafka.errors import CLIENT_ERRORS
from orcastra_kafka.patience import pause
from orcastra_kafka.schedule.messages import (
    TRANSACTION,
    AddPartitions,
    EndTransaction,
    Place,
    ProduceInTransaction,
    TakeProducerId,
)
from orcastra_kafka.share.cluster import Cluster
from orcastra_kafka.share.errors import LEADER_MOVED, KafkaCode, ShareError, check
from orcastra_kafka.share.metadata import FindCoordinator
from orcastra_kafka.share.private import BatchBuilder
from orcastra_kafka.share.wire import Request

T = TypeVar("T")

Item: TypeAlias = tuple[bytes | None, bytes | None, Sequence[tuple[str, bytes]]]
"""Key, value and headers."""

_PAUSE = 0.004
_SILENT_PAUSE = 0.05
_FENCED = frozenset({47, 90})
"""Invalid producer epoch, producer fenced."""
_BUSY = 51
"""Concurrent transactions: the last one's markers are being written."""
_COORDINATOR = frozenset({14, 15, 16})
_AGAIN = LEADER_MOVED | {7, 13, 19, 20, _BUSY}
_NOT_ALLOWED = 53
_OPEN_SECONDS = 10.0
"""Seconds after which the brokers abort what a dead process left open, should nobody take over before."""
_FIRST = 10.0
"""Seconds that the cluster gets to make its own log of transactions, at its first one."""


class Fenced(Exception):
    """Somebody else has taken the transactional id. Nothing of the transaction took effect."""


class Doubtful(Exception):
    """The commit got no answer: it did, or did not, take effect."""


@attrs.define(eq=False)
class Identity:
    """Attributes: the producer's id and epoch, and how many records each partition has had from it."""

    id: int
    epoch: int
    sequences: dict[Place, int] = attrs.field(factory=lambda: defaultdict(int))


class Transactor:
    """One transaction at a time. Errors are those of the cluster, beside those that methods name.

    Args:
        cluster: Where.
        name: The transactional id.
        codec: A compression's number, 0 for none.
        timeout: Seconds an answer may take.
    """

    def __init__(self, cluster: Cluster, name: str, *, codec: int, timeout: float) -> None:
        self._cluster = cluster
        self.name = name
        self._codec = codec
        self._timeout = timeout
        self._node: int | None = None
        self._leaders: dict[str, Sequence[int]] = {}
        self.identity: Identity | None = None

    async def take(self) -> None:
        """Have it alone from now on: what others have open under it is aborted."""
        self.identity = None

        async def ask() -> Identity:
            said = await self._ask(TakeProducerId(self.name, _OPEN_SECONDS))
            self._check(said.error, "taking over")
            return Identity(said.id, said.epoch)

        self.identity = await self._patiently(ask, max(self._timeout, _FIRST))

    async def write(self, batches: Mapping[Place, Sequence[Item]]) -> Mapping[Place, int]:
        """Begin a transaction with a batch for each of some partitions; return the offset of each. Raises Fenced."""
        identity = self._identity()
        await self._patiently(lambda: self._add(identity, list(batches)), self._timeout)
        packed = {place: self._pack(identity, place, items) for place, items in batches.items()}
        offsets: dict[Place, int] = {}

        async def produce() -> None:
            left = {place: records for place, records in packed.items() if place not in offsets}
            offsets.update(await self._produce(left))
            if len(offsets) < len(packed):
                raise ShareError(KafkaCode.NOT_LEADER_OR_FOLLOWER, doing=f"transaction {self.name}")

        await self._patiently(produce, self._timeout)
        for place, items in batches.items():
            identity.sequences[place] += len(items)
        return offsets

    async def end(self, *, commit: bool) -> None:
        """End the transaction. Raises Fenced, and Doubtful."""
        identity = self._identity()
        request = EndTransaction(name=self.name, id=identity.id, epoch=identity.epoch, commit=commit)
        unanswered = False

        async def ask() -> None:
            nonlocal unanswered
            try:
                error = await self._ask(request)
            except CLIENT_ERRORS:
                unanswered = True
                raise
            self._check(error, "ending it")

        try:
            await self._patiently(ask, self._timeout)
        except (Fenced, *CLIENT_ERRORS) as failure:
            self.identity = None
            if unanswered:
                raise Doubtful(str(failure)) from failure
            raise

    def forget(self) -> None:
        """Topics may have been made anew."""
        self._leaders.clear()

    async def partitions(self, topic: str) -> int:
        """Return how many partitions a topic has."""
        return len((await self._leaders_of(topic)))

    def _identity(self) -> Identity:
        if self.identity is None:
            raise Fenced
        return self.identity

    async def _add(self, identity: Identity, places: Sequence[Place]) -> None:
        said = await self._ask(AddPartitions(name=self.name, id=identity.id, epoch=identity.epoch, places=places))
        errors = [error for error in said.values() if error]
        for error in sorted(errors, key=lambda code: code == 55):  # 55: not attempted, because of another
            self._check(error, "adding partitions")

    async def _produce(self, packed: Mapping[Place, bytes]) -> Mapping[Place, int]:
        by_leader: dict[int, dict[Place, bytes]] = defaultdict(dict)
        for place, records in packed.items():
            by_leader[(await self._leaders_of(place[0]))[place[1]]][place] = records
        offsets: dict[Place, int] = {}
        for leader, batches in by_leader.items():
            request = ProduceInTransaction(name=self.name, batches=batches, timeout=self._timeout)
            for place, said in (await self._cluster.ask(leader, request)).items():
                if said.error in LEADER_MOVED:
                    self._leaders.pop(place[0], None)
                elif said.error not in _AGAIN:
                    self._check(said.error, f"topic {place[0]}", said.message)
                    offsets[place] = said.offset
        return offsets

    async def _leaders_of(self, topic: str) -> Sequence[int]:
        if topic not in self._leaders:
            self._leaders[topic] = (await self._cluster.topic(topic)).leaders
        return self._leaders[topic]

    def _pack(self, identity: Identity, place: Place, items: Sequence[Item]) -> bytes:
        builder = BatchBuilder(2, self._codec, 1, identity.id, identity.epoch, identity.sequences[place], 1 << 30)
        for offset, (key, value, headers) in enumerate(items):
            builder.append(offset, None, key, value, list(headers))
        return bytes(builder.build())

    async def _ask(self, request: Request[T]) -> T:
        """Ask who coordinates the transactional id."""
        if self._node is None:
            found = await self._cluster.ask_any(FindCoordinator(self.name, TRANSACTION))
            self._check(found.error, "finding its coordinator", found.message)
            self._cluster.learn([found.node])
            self._node = found.node.id
        try:
            return await self._cluster.ask(self._node, request)
        except CLIENT_ERRORS:
            self._node = None
            raise

    async def _patiently(self, attempt: Callable[[], Awaitable[T]], seconds: float) -> T:
        """Return what an attempt returns, trying again where the cluster is not itself just now."""
        loop = asyncio.get_running_loop()
        begun = loop.time()
        while True:
            try:
                return await attempt()
            except CLIENT_ERRORS as error:
                code = getattr(error, "code", None)
                answered = code is not None
                if answered and code not in _AGAIN | _COORDINATOR:
                    raise
                if loop.time() - begun >= (seconds if answered else min(seconds, self._timeout)):
                    raise
            await pause(_PAUSE if answered else _SILENT_PAUSE)

    def _check(self, error: int, doing: str, message: str | None = None) -> None:
        if error in _FENCED:
            self.identity = None
            raise Fenced
        if error in _COORDINATOR:
            self._node = None
        if error == _NOT_ALLOWED:
            raise AuthenticationFailed(
                f"not allowed to use the transactional id {self.name}: allow WRITE and DESCRIBE on transactional ids with"
                " the domain's prefix; due schedules are fired in transactions"
            )
        check(error, message, doing=f"transaction {self.name}, {doing}")
