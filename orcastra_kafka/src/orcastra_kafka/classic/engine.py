"""The half of a classic session that lives in its I/O thread's loop."""

from __future__ import annotations

import asyncio
import enum
import logging
from collections.abc import Awaitable, Iterable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import Any

import attrs
from aiokafka import AIOKafkaProducer

from orcastra_core.model.delivery import Delivery, Receipt, Want
from orcastra_core.model.errors import BrokerClosed
from orcastra_core.model.names import QueueName
from orcastra_kafka.classic import options
from orcastra_kafka.classic.committer import Committer
from orcastra_kafka.classic.member import Member, Taken
from orcastra_kafka.classic.messages import Membership
from orcastra_kafka.classic.part import DONE, MOVED
from orcastra_kafka.classic.private import KafkaError, commit_as
from orcastra_kafka.classic.writer import TransactionalWriter, Work, Writer
from orcastra_kafka.producer import Record
from orcastra_kafka.publish import counts_of, envelope_of
from orcastra_kafka.settings import Settings
from orcastra_kafka.topics import Names

_log = logging.getLogger("orcastra.kafka")

_CATCH_UP = 0.05
"""Seconds that a look at what was just published may take beyond those the caller would wait."""


class End(enum.Enum):
    """How a delivery ends."""

    DONE = enum.auto()
    MOVED = enum.auto()
    RETRIED = enum.auto()
    RELEASED = enum.auto()


@attrs.frozen
class Holding:
    """What was handed out, and under which receipt."""

    taken: Taken
    member: Member
    delivery: Delivery

    @property
    def record(self) -> Any:
        """As it was read."""
        return self.taken.record

    @property
    def ours(self) -> bool:
        """Whether it is still ours to settle."""
        return self.member.holds(self.taken)

    def work(self, end: End) -> Work:
        """Return what has to be done for it to end. It is ours."""
        part, offset = self.taken.part, self.taken.place.offset
        if end is End.RETRIED or end is End.RELEASED:
            change = part.retried(offset) if end is End.RETRIED else part.released(offset)
        else:
            change = DONE if end is End.DONE else MOVED
        return Work(self.taken, self.member, change)


class Engine:
    """Reads, hands out and settles.

    Args:
        settings: Of the broker.
        session: Its id.
        lease: Seconds after which its groups miss it.
    """

    def __init__(self, settings: Settings, session: str, lease: float) -> None:
        self._settings = settings
        self._names = Names(settings.domain)
        self._lease = lease
        self._members: dict[QueueName, Member] = {}
        self._joining = asyncio.Lock()
        self._committer = Committer(self._members.values())
        self._writer = Writer(self._committer)
        if settings.transactions:
            self._writer = TransactionalWriter(self._committer, partial(self._producer, session))
        self._tasks: set[asyncio.Task[None]] = set()
        self._news = asyncio.Event()
        self._receipts = 0
        self._holdings: dict[Receipt, Holding] = {}
        self._unseen: dict[Receipt, None] = {}
        self._answering: Sequence[Receipt] = ()
        self._stopped = False

    async def start(self) -> None:
        """Connect. Raises KafkaError."""
        await self._writer.start()

    async def fetch(
        self, want: Want, wait: float, *, answered: bool, disowned: Sequence[Receipt]
    ) -> Mapping[Receipt, Holding]:
        """Hand out what there is, or comes within ``wait`` seconds.

        Args:
            want: As the contract has it.
            wait: Seconds.
            answered: Whether the caller has got what the last call returned.
            disowned: What he was given, and has not.

        Raises:
            KafkaError: The broker does not answer; TimeoutError: nor does it refuse to.
        """
        if answered:
            for receipt in self._answering:
                self._unseen.pop(receipt, None)
        self._answering = ()
        self._unseen.update(dict.fromkeys(receipt for receipt in disowned if receipt in self._holdings))
        until = asyncio.get_running_loop().time() + wait
        members: list[tuple[Member, int]] = []
        for queue, most in want.queues:
            members.append((await self._in_time(self._member(queue)), most))
        for member, _ in members:
            member.begin_fetch()
        try:
            while not (taken := await self._once(want, members, until)) and not self._stopped:
                if asyncio.get_running_loop().time() >= until and not await self._behind(members):
                    break
        finally:
            for member, _ in members:
                member.end_fetch()
        if self._stopped:
            raise BrokerClosed("the session has ended")
        self._answering = taken
        return {receipt: self._holdings[receipt] for receipt in taken}

    async def finish(self, ends: Sequence[tuple[Receipt, End]], records: Sequence[Record]) -> Sequence[bool]:
        """End deliveries, each with its own receipt; return for each whether it was still held.

        Args:
            ends: Which, and how.
            records: With transactions, what they leave; if any of them is not held any more nothing at all takes effect.
        """
        holdings = [self._holdings.get(receipt) for receipt, _ in ends]
        works = [one.work(end) for one, (_, end) in zip(holdings, ends, strict=True) if one is not None and one.ours]
        if records and len(works) < len(ends):
            return [one is not None and one.ours for one in holdings]
        said = iter(await self._writer.finish(works, records)) if works else iter(())
        kept = {id(work.taken): over for work, over in zip(works, said, strict=True)}
        answers = [one is not None and kept.get(id(one.taken), False) for one in holdings]
        for (receipt, _), over in zip(ends, answers, strict=True):
            if over:
                self._holdings.pop(receipt, None)
                self._unseen.pop(receipt, None)
        self._news.set()  # what was handed back may be handed out again
        return answers

    async def held(self) -> Sequence[Receipt]:
        """Return what is held."""
        return [receipt for receipt, one in self._holdings.items() if one.ours]

    async def leave(self) -> None:
        """Release all, and say so to the groups. Raises KafkaError."""
        works = [one.work(End.RELEASED) for one in self._holdings.values() if one.ours]
        self._holdings.clear()
        for work in works:
            work.taken.part.settle({work.taken.place.offset: work.change})
        await self._committer.flush()

    async def stop(self) -> None:
        """Let go of everything; whoever waits is freed first."""
        self._stopped = True
        self._news.set()
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)
        ending: list[Member | Writer] = [*self._members.values(), self._writer]
        for one in ending:
            with suppress(KafkaError, TimeoutError, OSError):
                async with asyncio.timeout(2.0):
                    await one.stop()

    async def suspend(self) -> None:
        """Stop the heartbeats."""
        for member in self._members.values():
            await member.suspend()

    async def resume(self) -> None:
        """Beat again."""
        for member in self._members.values():
            await member.resume()

    async def _once(self, want: Want, members: Sequence[tuple[Member, int]], until: float) -> Sequence[Receipt]:
        self._news.clear()
        taken = self._again(want) or self._take(want.limit, members)
        if taken:
            # its death would go uncounted else: a task that kills its worker must not do so for ever
            await self._in_time(self._committer.flush())
            return [receipt for receipt in taken if self._holdings[receipt].ours]
        with suppress(TimeoutError):
            async with asyncio.timeout_at(max(until, asyncio.get_running_loop().time() + _CATCH_UP)):
                await self._news.wait()
        return ()

    async def _behind(self, members: Sequence[tuple[Member, int]]) -> bool:
        """Whether the broker has what was not read yet. It has to answer that: an outage is no empty queue."""
        return any([await self._in_time(member.behind()) for member, _ in members])

    async def _in_time(self, call: Awaitable[Any]) -> Any:
        async with asyncio.timeout(self._settings.timeout):
            return await call

    async def _member(self, queue: QueueName) -> Member:
        async with self._joining:
            if queue not in self._members:
                member = Member(
                    queue,
                    {level: self._names.lane(queue, level) for level in self._settings.priorities},
                    self._names.group(queue),
                    options.for_consumer(self._settings, self._lease),
                    flush=self._last_word,
                    news=self._news.set,
                )
                await member.start()
                self._members[queue] = member
                # not a child of the call that happened to be the first
                self._tasks.add(asyncio.get_running_loop().create_task(member.run(), name=f"reader of {queue}"))
            return self._members[queue]

    def _producer(self, session: str) -> AIOKafkaProducer:
        producer = AIOKafkaProducer(**options.for_transactions(self._settings, f"{self._names.prefix}tx.{session}"))
        commit_as(producer, self._membership)
        return producer

    def _membership(self, group: str) -> Membership:
        return next(member.membership for member in self._members.values() if member.group == group)

    async def _last_word(self) -> None:
        try:
            async with asyncio.timeout(self._lease / 2):
                await self._committer.flush_once()
        except (KafkaError, TimeoutError) as error:
            _log.info("nothing said before a rebalance: %s", error)

    def _take(self, limit: int, members: Iterable[tuple[Member, int]]) -> Sequence[Receipt]:
        receipts: list[Receipt] = []
        for member, most in members:
            for taken in member.take(min(most, limit - len(receipts))):
                self._receipts += 1
                record = taken.record
                envelope = envelope_of(record.key, record.value, taken.queue)
                counts = taken.part.counts(taken.place.offset, counts_of(record.headers))
                delivery = Delivery(envelope, self._receipts, counts)
                self._holdings[self._receipts] = Holding(taken, member, delivery)
                self._unseen[self._receipts] = None
                receipts.append(self._receipts)
        return receipts

    def _again(self, want: Want) -> Sequence[Receipt]:
        """What was handed out and nobody has seen, as far as it is wanted."""
        left: dict[QueueName, int] = {}
        for queue, most in want.queues:
            left[queue] = left.get(queue, 0) + most
        found: list[Receipt] = []
        for receipt in list(self._unseen):
            holding = self._holdings.get(receipt)
            if holding is None or not holding.ours:
                del self._unseen[receipt]
            elif len(found) < want.limit and left.get(holding.taken.queue, 0) > 0:
                left[holding.taken.queue] -= 1
                found.append(receipt)
        return found
