"""A member of a queue's consumer group: reads without ever waiting for a task, and keeps what is in work over rebalances."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from typing import Any

from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener
from aiokafka.structs import OffsetAndMetadata, TopicPartition

from orcastra_core.model.names import QueueName
from orcastra_kafka.classic import private
from orcastra_kafka.classic.appetite import Appetite
from orcastra_kafka.classic.assignment import Stand
from orcastra_kafka.classic.committer import Committer
from orcastra_kafka.classic.ends import Ends
from orcastra_kafka.classic.messages import Membership
from orcastra_kafka.classic.part import Part, Place, Taken
from orcastra_kafka.errors import CLIENT_ERRORS

_log = logging.getLogger("orcastra.kafka")

_POLL = 0.1
"""Seconds between two looks around, at the longest."""
_NEAR = 100
"""Records that are read in a moment."""


class Member(ConsumerRebalanceListener):  # type: ignore[misc]  # aiokafka is not typed
    """Reads one queue. Lives in the I/O thread's loop.

    Args:
        queue: Which.
        topics: Its topics by priority, the highest first.
        group: The group's id.
        options: For aiokafka's consumer: servers, security, timeouts.
        ends: Tells where partitions begin and end.
        news: Called whenever there is something to hand out.
    """

    def __init__(
        self,
        queue: QueueName,
        topics: Mapping[int, str],
        group: str,
        options: Mapping[str, Any],
        *,
        ends: Ends,
        news: Callable[[], None],
    ) -> None:
        self.queue = queue
        self.group = group
        self._topics = topics
        self._levels = {topic: level for level, topic in topics.items()}
        self._options = options
        self._ends = ends
        self.committer = Committer(self)
        self._news = news
        self._parts: dict[TopicPartition, Part] = {}
        self._grants = 0
        self._generation = -1
        self._turn = 0
        self._lease = options["session_timeout_ms"] / 1000
        self.appetite = Appetite(self._lease)
        self.settled_down = asyncio.Event()
        """Set but for the time of a rebalance."""
        self._agreed = asyncio.Event()
        self.joining = False
        self.assignments = 0

    async def start(self) -> None:
        """Join the group. Raises KafkaError."""
        self._consumer = AIOKafkaConsumer(
            group_id=self.group,
            partition_assignment_strategy=(private.assignor(self._stand, self.appetite.told),),
            **self._options,
        )
        self._consumer.subscribe(list(self._levels), listener=self)
        try:
            await self._consumer.start()
        except BaseException:
            await self._consumer.stop()
            raise

    async def stop(self) -> None:
        """Leave the group."""
        await private.stop(self._consumer)

    async def run(self) -> None:
        """Read for ever. Never waits for anything but the broker. Raises what the client cannot go on after."""
        while True:
            private.check_well(self._consumer)
            try:
                found = await self._consumer.getmany(timeout_ms=int(_POLL * 1000), max_records=2000)
            except CLIENT_ERRORS as error:
                _log.warning("reading %s: %s; going on", self.queue, error)
                await asyncio.sleep(_POLL)  # noqa: TID251 - between two tries
                continue
            if self.settled_down.is_set():
                self._take_in(found)
                with suppress(private.KafkaError):  # a partition that has just gone cannot be paused
                    self._look_around()

    def _take_in(self, found: Mapping[TopicPartition, Sequence[Any]]) -> None:
        for place, records in found.items():
            part = self._parts.get(place)
            if part is not None:
                if part.begins_anew(records):
                    _log.warning("%s %d begins anew at %d: it was removed, and made again", *place, records[0].offset)
                    part = self._parts[place] = self._part(place, records[0].offset, "")
                part.add(records)
        moved = [part.reach(private.position(self._consumer, place)) for place, part in self._parts.items()]
        if found or any(moved):
            self._news()

    @property
    def parts(self) -> Collection[Part]:
        """The partitions in our hands."""
        return self._parts.values()

    def take(self, limit: int) -> list[Taken]:
        """Hand out what is ready, higher levels first, the partitions of a level in turn.

        Nothing while the group shares out anew: it has been told already where we have work in hand.
        """
        taken: list[Taken] = []
        if not self.settled_down.is_set():
            return taken
        self._turn += 1
        draining = self.appetite.draining
        everything = [part for place, part in sorted(self._parts.items()) if place not in draining]
        for level in self._topics:
            parts = [part for part in everything if part.ready(level)]
            parts = parts[self._turn % len(parts) :] + parts[: self._turn % len(parts)] if parts else []
            while parts and len(taken) < limit:
                share = max(1, (limit - len(taken)) // len(parts))
                for part in parts:
                    records = part.take(min(share, limit - len(taken)), level)
                    taken += [
                        Taken(self.queue, Place(part.place, one.offset, part.grant), one, part) for one in records
                    ]
                parts = [part for part in parts if part.ready(level)]
        return taken

    @property
    def holds_back(self) -> bool:
        """Whether something is ready that others are to get, or we, a moment later."""
        return any(len(self._parts[place]) for place in self.appetite.draining & self._parts.keys())

    @property
    def levels(self) -> Collection[int]:
        """The priorities that it reads, the highest first."""
        return self._topics.keys()

    def ready(self, level: int) -> int:
        """How many of a priority are ready to be handed out."""
        return sum(part.ready(level) for part in self._parts.values()) if self.settled_down.is_set() else 0

    async def unread(self, levels: Collection[int]) -> bool:
        """Ask the broker whether there is more of these priorities than was read. Raises KafkaError."""
        ordered = any(part.ordered for part in self._parts.values())  # theirs lie in one topic, whatever they are
        asked = {place for place in self._parts if self._levels[place.topic] in levels}
        if not self.settled_down.is_set():
            return True
        left = await self._left(self._parts.keys() if ordered else asked)
        return any(number for place, number in left.items() if place in asked or number < _NEAR)

    async def behind(self) -> bool:
        """Ask the broker whether there is more than was read. Raises KafkaError."""
        if any(not part.full for part in self._parts.values()):
            return any((await self._left(self._parts.keys())).values())
        # nothing is ours, or there is room for nothing: any answer will do
        await private.committed(self._consumer, [TopicPartition(next(iter(self._levels)), 0)])
        return False

    async def _left(self, places: Collection[TopicPartition]) -> Mapping[TopicPartition, int]:
        """Ask how much there is in partitions with room that was not read."""
        places = [place for place in places if not self._parts[place].full]
        ends = await self._ends.last(places) if places else {}
        return {place: max(0, end - self._parts[place].next) for place, end in ends.items() if place in self._parts}

    def holds(self, one: Taken) -> bool:
        """Whether it is still ours to settle."""
        return self._parts.get(one.place.partition) is one.part and one.place.offset in one.part.held

    def reads(self, part: Part) -> bool:
        """Whether this partition is still in our hands, as it was."""
        return self._parts.get(part.place) is part

    @property
    def membership(self) -> Membership:
        """Who we are to the group."""
        return private.membership(self._consumer)

    def dirty(self) -> Mapping[TopicPartition, Part]:
        """Return what there is to commit."""
        return {place: part for place, part in self._parts.items() if part.dirty}

    async def agreed_after(self, assignments: int) -> None:
        """Return when the group has shared out anew, more often than ``assignments`` times."""
        while self.assignments <= assignments:
            await self._agreed.wait()

    async def said(self, places: Collection[TopicPartition]) -> Mapping[TopicPartition, tuple[int, str]]:
        """Ask what the group's last words are. Raises KafkaError."""
        return await private.committed(self._consumer, places)

    def join_again(self) -> None:
        """Have the group share out anew."""
        private.join_again(self._consumer)

    async def commit(self, said: Mapping[TopicPartition, tuple[int, str]]) -> None:
        """Tell the group. Raises KafkaError: CommitFailedError while it shares out anew."""
        await self._consumer.commit({place: OffsetAndMetadata(*one) for place, one in said.items()})

    def forget(self) -> None:
        """The group does not know us any more: nothing is ours."""
        self._parts.clear()

    async def suspend(self) -> None:
        """Stop the heartbeats, and ask the group for nothing."""
        self.appetite.suspended = True
        await private.stop_heartbeats(self._consumer)

    async def resume(self) -> None:
        """Beat again."""
        self.appetite.suspended = False
        private.start_heartbeats(self._consumer)

    # -- what aiokafka calls

    async def on_partitions_revoked(self, revoked: Collection[TopicPartition]) -> None:
        """Leave word of what is done, before anybody else can begin to read. What is ours is not given up yet."""
        self._generation = private.generation(self._consumer)
        self.settled_down.clear()
        try:
            async with asyncio.timeout(self._lease / 2):
                await self.committer.flush_once()
        except CLIENT_ERRORS as error:
            _log.info("%s: nothing said before a rebalance: %s", self.queue, error)
        finally:
            self.joining = True

    async def on_partitions_assigned(self, assigned: Collection[TopicPartition]) -> None:
        """Go on with what stayed ours, begin with what is new; the rest is lost."""
        self.appetite.agreed()
        try:
            await self._take_over(assigned)
        except CLIENT_ERRORS as error:
            _log.warning("%s: cannot take over %d partitions: %s; joining again", self.queue, len(assigned), error)
            private.join_again(self._consumer)

    async def _take_over(self, assigned: Collection[TopicPartition]) -> None:
        said = await private.committed(self._consumer, assigned)
        unknown = [place for place in assigned if said.get(place, (-1, ""))[0] < 0]
        first = await self._ends.first(unknown) if unknown else {}
        kept: dict[TopicPartition, Part] = {}
        for place in assigned:
            word = said.get(place, (-1, ""))
            part = self._parts.get(place)
            if part is None or not (part.is_at(word) or word[0] < 0):
                part = self._part(place, word[0] if word[0] >= 0 else first[place], word[1])
            kept[place] = part
            self._consumer.seek(place, part.next)
        if lost := sum(len(part.held) for place, part in self._parts.items() if kept.get(place) is not part):
            _log.warning("%s: the group gave away partitions with %d tasks", self.queue, lost)
        self._parts = kept
        self._generation = private.generation(self._consumer)
        self.assignments += 1
        self.joining = False  # not before: what we knew of a partition that others had meanwhile must not be committed
        self.settled_down.set()
        self._agreed.set()
        self._agreed = asyncio.Event()
        self._news()

    def _part(self, place: TopicPartition, offset: int, metadata: str) -> Part:
        self._grants += 1
        return Part(place, self._grants, offset, metadata, self._levels[place.topic], self._topics)

    def _stand(self, topics: Sequence[str]) -> Stand:
        owned = frozenset((place.topic, place.partition) for place in self._parts)
        return Stand(topics, self._generation, self._busy, owned, self.appetite.tell(), self.appetite.stuck)

    @property
    def _busy(self) -> frozenset[tuple[str, int]]:
        return frozenset((place.topic, place.partition) for place, part in self._parts.items() if part.busy)

    def _look_around(self) -> None:
        paused = self._consumer.paused()
        for place, part in self._parts.items():
            if part.full and place not in paused:
                self._consumer.pause(place)
            elif not part.full and place in paused:
                self._consumer.resume(place)
        waiting, fed = any(len(part) and not part.held for part in self.parts), any(map(len, self.parts))
        if self.appetite.has_changed(waiting=waiting, fed=fed) or self.appetite.has_drained(self._busy):
            private.join_again(self._consumer)
