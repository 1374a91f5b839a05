"""The half of a share session that lives in its I/O thread: its lanes, and what they hold."""

from __future__ import annotations

import asyncio
import itertools
from collections import deque
from collections.abc import Callable, Collection, Sequence
from functools import partial

import attrs

from orcastra_core.model.counts import Counts
from orcastra_core.model.delivery import Delivery
from orcastra_core.model.names import QueueName
from orcastra_kafka.doorbell import Doorbell
from orcastra_kafka.errors import CLIENT_ERRORS, translate
from orcastra_kafka.lane_share import Lane
from orcastra_kafka.publish import counts_of, envelope_of
from orcastra_kafka.server import where
from orcastra_kafka.settings import Settings
from orcastra_kafka.share.acks import AckType
from orcastra_kafka.share.cluster import Cluster
from orcastra_kafka.share.consumer import ShareConsumer
from orcastra_kafka.share.records import ShareRecord
from orcastra_kafka.topics import Names, lanes_of

_LOOK_AROUND = 0.2
"""Seconds between looks that nothing rang for: what a dead session held comes back without a ring."""
_COLD_START = 15.0
"""Seconds that joining a group may take: the first one of a cluster waits for the brokers to make their own topics."""
_FAREWELL = 0.9
"""Seconds that telling the groups of our leaving may take."""


@attrs.frozen(eq=False)
class Held:
    """A delivery, and the record that it came by.

    Attributes:
        lane: Whose member holds the record.
        lost: How many of the delivery's losses the record does not tell of.
    """

    record: ShareRecord
    lane: Lane
    delivery: Delivery
    lost: int


class Reader:
    """Fetches, keeps the locks and acknowledges. All of it runs in the I/O thread's loop.

    Args:
        settings: The broker's.
        lost: Called, in this thread, with what is no longer held by no doing of ours.
    """

    def __init__(self, settings: Settings, lost: Callable[[Sequence[Held], BaseException], None]) -> None:
        self.given: deque[Held] = deque()
        """What was taken and not yet seen by the session's own loop. Both threads use it: only atomic operations."""
        self._settings = settings
        self._names = Names(settings.domain)
        self._where = where(settings)
        self._lost = lost
        self._lanes: dict[str, Lane] = {}
        self._held: dict[ShareRecord, Held] = {}
        self._receipts = itertools.count(1)
        self._opening = asyncio.Lock()
        self._cluster: Cluster
        self._bell: Doorbell

    async def begin(self, queues: Sequence[QueueName]) -> None:
        """Connect, and join the share groups of queues. Raises BrokerError."""
        self._cluster = Cluster(self._settings.connecting())
        self._bell = Doorbell(self._cluster, self._doubt)
        try:
            await self._cluster.open()
        except CLIENT_ERRORS as error:
            raise translate(error, self._where) from error
        await self.open(queues)

    async def open(self, queues: Sequence[QueueName]) -> None:
        """Join the share groups of queues that are not read yet. Raises BrokerError."""
        async with self._opening:
            missing = [
                (queue, topic)
                for queue in dict.fromkeys(queues)
                for topic in lanes_of(self._names, queue, self._settings.priorities)
                if topic not in self._lanes
            ]
            if not missing:
                return
            try:
                await self._bell.add(topic for _, topic in missing)
                lanes = [Lane(queue, partial(self._member, queue, topic)) for queue, topic in missing]
                try:
                    async with asyncio.TaskGroup() as group:
                        for lane in lanes:
                            group.create_task(lane.start(within=max(_COLD_START, self._settings.timeout)))
                except BaseException:
                    for lane in lanes:
                        lane.drop()
                    raise
            except* CLIENT_ERRORS as errors:
                first = errors.exceptions[0]
                while isinstance(first, BaseExceptionGroup):
                    first = first.exceptions[0]
                raise translate(first, self._where) from first
            self._lanes |= {topic: lane for (_, topic), lane in zip(missing, lanes, strict=True)}

    async def take(self, want: Sequence[tuple[QueueName, int]], limit: int, wait: float) -> None:
        """Put into ``given`` what a fetch gets. Raises BrokerError."""
        loop = asyncio.get_running_loop()
        until = loop.time() + wait
        await self.open([queue for queue, _ in want])
        try:
            pause = max(_LOOK_AROUND, 0.02 * len(self._lanes))
            looked, where = loop.time(), None
            while not await self._look(want, limit, where):
                left = until - loop.time()
                if left <= 0:
                    return
                where = await self._bell.wait(min(left, pause))
                if where is None or loop.time() >= looked + pause:
                    looked, where = loop.time(), None
        except CLIENT_ERRORS as error:
            raise translate(error, self._where) from error

    async def settle(self, items: Sequence[Held], kind: AckType) -> list[int]:
        """Acknowledge; return for each 0, or Kafka's error code."""
        by_lane: dict[Lane, list[Held]] = {}
        for held in items:
            by_lane.setdefault(held.lane, []).append(held)
        if len(by_lane) == 1:
            (lane,) = by_lane
            return await self._settle(lane, items, kind)
        async with asyncio.TaskGroup() as group:
            settling = [(some, group.create_task(self._settle(lane, some, kind))) for lane, some in by_lane.items()]
        codes = {held: code for some, task in settling for held, code in zip(some, task.result(), strict=True)}
        return [codes[held] for held in items]

    async def _settle(self, lane: Lane, items: Sequence[Held], kind: AckType) -> list[int]:
        codes = await lane.acknowledge([held.record for held in items], kind)
        for held, code in zip(items, codes, strict=True):
            if not code:
                self._held.pop(held.record, None)
        return codes

    async def holding(self) -> list[Held]:
        """Return all that the consumers hold, seen or not."""
        return [self._note(lane, record) for lane in self._lanes.values() for record in await lane.held()]

    def trouble(self) -> BaseException | None:
        """Return why the last heartbeats had no answer, if so. From any thread."""
        members = [member for lane in list(self._lanes.values()) for member in list(lane.members)]
        return next((member.failing for member in members if member.failing), None)

    async def suspend(self, suspended: bool) -> None:
        """Stop heartbeats and renewals, or resume them. For tests."""
        for lane in self._lanes.values():
            lane.suspend(suspended)

    async def end(self) -> None:
        """Close all connections, which gives back what is held, and leave the groups."""
        ringing = self._bell.drop()
        if ringing:
            await asyncio.wait(ringing)
        lanes, self._lanes = list(self._lanes.values()), {}
        for lane in lanes:
            lane.drop()
        try:
            async with asyncio.timeout(min(_FAREWELL, self._settings.timeout)), asyncio.TaskGroup() as group:
                for lane in lanes:
                    group.create_task(lane.close())
        except TimeoutError:
            pass
        await self._cluster.close()

    async def _look(
        self, want: Sequence[tuple[QueueName, int]], limit: int, where: Collection[str] | None = None
    ) -> bool:
        """Ask lane by lane, in their order, without waiting; only those of some topics, if so. Whether anything came."""
        found = False
        for queue, most in want:
            left = min(limit, most)
            for topic in lanes_of(self._names, queue, self._settings.priorities):
                if left <= 0:
                    break
                if where is not None and topic not in where:
                    continue
                lane = self._lanes[topic]
                try:
                    records = await lane.fetch(left)
                except CLIENT_ERRORS:
                    if found:
                        return True  # what there is goes first; the error comes again
                    raise
                for record in records:
                    self.given.append(self._note(lane, record))
                found = found or bool(records)
                left -= len(records)
                limit -= len(records)
        return found

    def _note(self, lane: Lane, record: ShareRecord) -> Held:
        held = self._held.get(record)
        if held is None:
            counts, lost = counts_of(record.headers), record.delivery_count - 1
            if lost:
                counts = Counts(counts.attempt, counts.lost + lost, counts.released)
            envelope = envelope_of(record.key, record.value, lane.queue)
            held = self._held[record] = Held(record, lane, Delivery(envelope, next(self._receipts), counts), lost)
        return held

    def _member(self, queue: QueueName, topic: str) -> ShareConsumer:
        return ShareConsumer(self._cluster, self._names.queue(queue), [topic], lost=self._gone, follow_assignment=False)

    def _doubt(self) -> None:
        for lane in self._lanes.values():
            for member in lane.members:
                member.doubt()

    def _gone(self, records: Sequence[ShareRecord], why: BaseException) -> None:
        gone = [held for record in records if (held := self._held.pop(record, None)) is not None]
        self._lost(gone, why)
