"""Makes deliveries be over: after what they leave is written, or together with it in a transaction."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack
from typing import Any, TypeAlias

import attrs
from aiokafka import AIOKafkaProducer
from aiokafka.errors import CommitFailedError, IllegalStateError
from aiokafka.structs import OffsetAndMetadata, TopicPartition

from orcastra_kafka.classic.committer import said
from orcastra_kafka.classic.member import Member
from orcastra_kafka.classic.part import Change, Part, Taken
from orcastra_kafka.classic.private import KafkaError, is_broken
from orcastra_kafka.producer import Record

_Share: TypeAlias = tuple[Member, dict[TopicPartition, Part], dict[TopicPartition, dict[int, Change]]]
"""The member of a group, its parts, and what becomes of the offsets of each."""


@attrs.frozen(eq=False)
class Work:
    """A delivery that is to be over.

    Attributes:
        taken: Which.
        member: Who read it.
        change: What becomes of its record.
    """

    taken: Taken
    member: Member
    change: Change

    @property
    def ours(self) -> bool:
        """Whether it is still ours to settle."""
        return self.member.holds(self.taken)


class Writer:
    """Commits after the fact: what deliveries leave was written before. A crash in between repeats the task, and loses nothing.

    Lives in the I/O thread's loop, like all of these.
    """

    async def start(self) -> None:
        """Connect. Raises KafkaError."""

    async def stop(self) -> None:
        """Let go."""

    async def finish(self, works: Sequence[Work], records: Sequence[Record]) -> Sequence[bool]:
        """Have these be over; return for each whether it was still ours. Raises KafkaError.

        Args:
            works: Which.
            records: What they leave, for those who write it together with the rest: nothing at all
                takes effect then if any of the works is not ours.
        """
        assert not records
        live = [work for work in works if work.ours]
        settled: dict[Part, int] = {}
        for _, parts, changes in _by_group(live).values():
            for place, part in parts.items():
                part.settle(changes[place])
                settled[part] = part.changed
        await flush_all({work.member for work in live})
        over = {work for work in live if work.taken.part.told >= settled[work.taken.part]}
        return [work in over for work in works]


class TransactionalWriter(Writer):
    """Records and commit in one transaction: all of a batch or nothing of it.

    Args:
        make: Makes the producer, and another one when that breaks: it ends what the one before has left open.
    """

    def __init__(self, make: Callable[[], AIOKafkaProducer]) -> None:
        self._make = make
        self._made: AIOKafkaProducer | None = None
        self._turn = asyncio.Lock()

    async def start(self) -> None:
        await self._producer()

    async def stop(self) -> None:
        made, self._made = self._made, None
        if made is not None:
            await made.stop()

    async def finish(self, works: Sequence[Work], records: Sequence[Record]) -> Sequence[bool]:
        while True:
            seen = {work.member: work.member.assignments for work in works}
            try:
                return await self._try(works, records)
            except CommitFailedError:  # the group shares out anew: what is still ours then is to be tried again
                for member, assignments in seen.items():
                    if not member.joining:  # it was the coordinator who said so; aiokafka has not heard it
                        member.join_again()
                    await member.agreed_after(assignments)

    async def _try(self, works: Sequence[Work], records: Sequence[Record]) -> Sequence[bool]:
        async with self._turn, AsyncExitStack() as turns:
            for member in dict.fromkeys(work.member for work in works):
                await turns.enter_async_context(member.committer.alone())
            live = {work for work in works if work.ours}
            if live and (len(live) == len(works) or not records):
                groups = _by_group([work for work in works if work in live])
                await self._transact(groups, records)
                for _, parts, changes in groups.values():
                    for place, part in parts.items():
                        part.settle(changes[place], told=True)
        return [work in live for work in works]

    async def _producer(self) -> AIOKafkaProducer:
        if self._made is not None and is_broken(self._made):
            await self.stop()
        if self._made is None:
            producer = self._make()
            try:
                await producer.start()
            except BaseException:
                await producer.stop()
                raise
            self._made = producer
        return self._made

    async def _transact(self, groups: Mapping[str, _Share], records: Sequence[Record]) -> None:
        for last in (False, False, True):
            producer = await self._producer()
            await producer.begin_transaction()
            sent: dict[str, Mapping[TopicPartition, tuple[int, str]]] = {}
            async with AsyncExitStack() as words:
                try:
                    await self._send(producer, records)
                    for group, (_, parts, changes) in groups.items():
                        offsets = sent[group] = await words.enter_async_context(said(parts, changes))
                        told = {place: OffsetAndMetadata(*word) for place, word in offsets.items()}
                        await producer.send_offsets_to_transaction(told, group)
                except BaseException as error:
                    await self._abort(producer)
                    if last or isinstance(error, CommitFailedError) or not isinstance(error, KafkaError):
                        raise
                    continue  # nothing took effect
                try:
                    await producer.commit_transaction()
                except (KafkaError, TimeoutError):
                    await self.stop()
                    await self._producer()  # it ends what that one has left open, either way
                    if not await _took_effect(groups, sent):
                        raise
            return

    async def _abort(self, producer: AIOKafkaProducer) -> None:
        if is_broken(producer):
            return
        try:
            await producer.abort_transaction()
        except (KafkaError, IllegalStateError):
            await self.stop()  # the next one ends what this one has left open

    async def _send(self, producer: AIOKafkaProducer, records: Sequence[Record]) -> None:
        sent: list[asyncio.Future[Any]] = []
        for one in records:
            partition = None
            if one.spread is not None:
                partition = one.spread % len(await producer.partitions_for(one.topic))
            sent.append(
                await producer.send(one.topic, one.value, key=one.key, partition=partition, headers=list(one.headers))
            )
        if sent:
            await asyncio.gather(*sent)


async def flush_all(members: Iterable[Member]) -> None:
    """Commit what these have to say, side by side. Raises KafkaError."""
    await asyncio.gather(*(member.committer.flush() for member in members))


async def _took_effect(
    groups: Mapping[str, _Share], sent: Mapping[str, Mapping[TopicPartition, tuple[int, str]]]
) -> bool:
    """Whether the groups' last words are those of a transaction that got no answer."""
    for group, (member, _, _) in groups.items():
        if await member.said(sent[group]) != sent[group]:
            return False
    return True


def _by_group(works: Sequence[Work]) -> Mapping[str, _Share]:
    found: dict[str, _Share] = {}
    for work in works:
        _, parts, changes = found.setdefault(work.member.group, (work.member, {}, {}))
        place = work.taken.place
        parts[place.partition] = work.taken.part
        changes.setdefault(place.partition, {})[place.offset] = work.change
    return found
