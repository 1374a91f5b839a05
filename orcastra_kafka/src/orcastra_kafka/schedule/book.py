"""The domain's schedules in one process: its partitions, how far they were read, and who is told of what is due sooner."""

from __future__ import annotations

import asyncio
import logging
import random
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Any, TypeVar

from orcastra_core.model.errors import AuthenticationFailed, BrokerClosed, BrokerError
from orcastra_kafka.core import Core
from orcastra_kafka.doorbell import Doorbell
from orcastra_kafka.errors import CLIENT_ERRORS, translate
from orcastra_kafka.patience import pause
from orcastra_kafka.schedule.log import Log
from orcastra_kafka.schedule.partition import Partition
from orcastra_kafka.schedule.records import spread
from orcastra_kafka.schedule.tenure import PATIENCE
from orcastra_kafka.share.errors import TOPIC_GONE, KafkaCode

T = TypeVar("T")

_log = logging.getLogger("orcastra.kafka")

_FOLLOWS = 10.0
"""Seconds for which the log is followed after somebody promoted."""
_RINGS = 1.0
_GATHER = 0.01
"""Seconds in which more may follow what rang: a busy log is not read record by record."""
_PAUSE = 0.2


class Book:
    """Everything of the schedules that one open broker has. Its methods raise BrokerError."""

    def __init__(self, core: Core) -> None:
        self.core = core
        self._opening = asyncio.Lock()
        self._log: Log | None = None
        self._partitions: Sequence[Partition] = ()
        self._patience = PATIENCE * random.uniform(1.0, 2.0)
        self._running: set[asyncio.Task[Any]] = set()
        self._follower: asyncio.Task[None] | None = None
        self._follow_until = 0.0
        self.armed: float | None = None
        """The moment at which the promoter will come again at the latest."""
        self._closed = False

    async def partitions(self) -> Sequence[Partition]:
        """Return the partitions, read up to what is there now."""
        return await self._translated(self._read())

    def by_partition(self, keys: Iterable[bytes]) -> Mapping[Partition, list[bytes]]:
        """Return keys by where they live."""
        found: dict[Partition, list[bytes]] = defaultdict(list)
        for key in keys:
            found[self._partitions[spread(key) % len(self._partitions)]].append(key)
        return found

    async def done(self, work: Callable[[], Awaitable[T]]) -> T:
        """Return what a piece of work returns, which goes on to its end even if the caller does not wait for it."""
        if self._closed:
            raise BrokerClosed("the broker was closed")
        task = self.core.loop.create_task(self._translated(work()), name="kafka-schedule")
        self._running.add(task)
        task.add_done_callback(self._ended)
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            if task.cancelled():
                raise BrokerClosed("the broker was closed") from None
            raise

    def follow(self) -> None:
        """Read on in the background for a while, and tell sessions when something is due sooner than ``armed``."""
        self._follow_until = self.core.loop.time() + _FOLLOWS
        if (self._follower is None or self._follower.done()) and not self._closed:
            self._follower = self.core.loop.create_task(self._follow(), name="kafka-schedule-follower")

    async def close(self) -> None:
        """End what is under way."""
        self._closed = True
        if self._follower is not None:
            self._follower.cancel()
            await asyncio.wait([self._follower])
        if self._running:
            _, late = await asyncio.wait(self._running, timeout=self.core.settings.timeout)
            for task in late:
                task.cancel()
            if late:
                await asyncio.wait(late)

    async def _read(self) -> Sequence[Partition]:
        await self._open()
        assert self._log is not None
        ends = await self._log.ends()
        for partition in self._partitions:
            await partition.read_to(ends[partition.number])
        return self._partitions

    async def _open(self) -> None:
        async with self._opening:
            if self._log is None:
                await self.core.ensure_schedule()
                self._log = await Log.open(self.core)
                self._partitions = [
                    Partition(self.core, self._log, number, self._patience) for number in range(self._log.partitions)
                ]

    async def _translated(self, work: Awaitable[T]) -> T:
        try:
            return await work
        except CLIENT_ERRORS as error:
            self._look_again(error)
            if getattr(error, "code", None) == KafkaCode.TRANSACTIONAL_ID_AUTHORIZATION_FAILED:
                raise AuthenticationFailed(
                    f"{self.core.where}: not allowed to change schedules or fire them: allow Write and Describe on"
                    f" transactional ids that begin with {self.core.names.schedule}."
                ) from error
            raise translate(error, self.core.where) from error
        except BrokerError as error:
            self._look_again(error.__cause__)
            raise

    def _look_again(self, error: BaseException | None) -> None:
        if getattr(error, "code", None) in TOPIC_GONE:
            self.core.topics.forget()
            self.core.producer.forget()
            self._log = None

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._running.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.debug("schedules: %s", error)

    async def _follow(self) -> None:
        bell: Doorbell | None = None
        rung: Log | None = None
        try:
            while self.core.loop.time() < self._follow_until:
                try:
                    await self._read()
                    if bell is None or rung is not self._log:
                        if bell is not None:
                            await _stopped(bell)
                        bell, rung = Doorbell(self.core.cluster), self._log
                        await bell.add([self.core.names.schedule])
                        continue  # what came before it could ring
                    self._tell()
                    await bell.wait(_RINGS)
                    await pause(_GATHER)
                except CLIENT_ERRORS as error:
                    self._look_again(error)
                    await pause(_PAUSE)
                except BrokerError as error:
                    _log.debug("following the schedules: %s", error)
                    await pause(_PAUSE)
        finally:
            if bell is not None:
                await _stopped(bell)

    def _tell(self) -> None:
        now = self.core.clock.now()
        moments = [partition.moment(now) for partition in self._partitions]
        first = min((moment for moment in moments if moment is not None), default=None)
        if first is not None and self.armed is not None and first < self.armed:
            self.armed = None
            self.core.due_soon.tell()


async def _stopped(bell: Doorbell) -> None:
    tasks = bell.drop()
    if tasks:
        await asyncio.wait(tasks)
