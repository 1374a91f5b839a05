"""The half of a classic session that lives in its I/O thread's loop."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Iterable, Mapping, Sequence
from contextlib import ExitStack, suppress
from functools import partial
from typing import Any

from aiokafka import AIOKafkaProducer

from orcastra_core.model.delivery import Delivery, Receipt, Want
from orcastra_core.model.errors import BrokerClosed
from orcastra_core.model.names import QueueName
from orcastra_kafka.classic import options
from orcastra_kafka.classic.ends import Ends
from orcastra_kafka.classic.holding import End, Holding
from orcastra_kafka.classic.member import Member
from orcastra_kafka.classic.messages import Membership
from orcastra_kafka.classic.precedence import unread_ahead
from orcastra_kafka.classic.private import abort_in_earnest, commit_as
from orcastra_kafka.classic.writer import TransactionalWriter, Writer, flush_all
from orcastra_kafka.producer import Record
from orcastra_kafka.publish import counts_of, envelope_of
from orcastra_kafka.settings import Settings
from orcastra_kafka.share.cluster import Cluster
from orcastra_kafka.topics import Names

_log = logging.getLogger("orcastra.kafka")

_FAREWELL = 1.0
_CATCH_UP = 0.25
"""Seconds that what was published already may take to come in, beyond those that the caller would wait."""


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
        self._cluster = Cluster(settings.connecting())
        self._ends = Ends(self._cluster, within=settings.timeout)
        self._joining: dict[QueueName, asyncio.Task[Member]] = {}
        self._writer = Writer()
        if settings.transactions:
            self._writer = TransactionalWriter(partial(self._producer, session))
        self._tasks: set[asyncio.Task[None]] = set()
        self._news = asyncio.Event()
        self._receipts = 0
        self._holdings: dict[Receipt, Holding] = {}
        self._unseen: dict[Receipt, None] = {}
        self._answering: Sequence[Receipt] = ()
        self._stopped = False
        self._failure: BaseException | None = None

    @classmethod
    async def made(cls, settings: Settings, session: str, lease: float) -> Engine:
        """Return one that belongs to the running event loop."""
        return cls(settings, session, lease)

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
            BrokerClosed: Stopped, or a reader has failed.
        """
        if answered:
            for receipt in self._answering:
                self._unseen.pop(receipt, None)
        self._answering = ()
        self._unseen.update(dict.fromkeys(receipt for receipt in disowned if receipt in self._holdings))
        try:
            self._answering = await self._fetch(want, asyncio.get_running_loop().time() + wait)
        except TimeoutError:
            if not any(self._sharing_out(queue) for queue, _ in want.queues):
                raise
            await self._in_time(self._cluster.metadata(()))  # it is the group that takes its time
        self._check()
        return {receipt: self._holdings[receipt] for receipt in self._answering}

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
        """Return what is held. Raises BrokerClosed."""
        self._check()
        return [receipt for receipt, one in self._holdings.items() if one.ours]

    async def leave(self, end: End) -> Sequence[Holding]:
        """End all that is held this way, and say so to the groups; return what that was. Raises KafkaError."""
        held = [one for one in self._holdings.values() if one.ours]
        self._holdings.clear()
        for one in held:
            work = one.work(end)
            work.taken.part.settle({work.taken.place.offset: work.change})
        await flush_all(member for member in self._members.values() if member.dirty())
        return held

    async def stop(self) -> None:
        """Let go of everything; whoever waits is freed first."""
        self._stopped = True
        self._news.set()
        tasks = [*self._joining.values(), *self._tasks]
        for task in tasks:
            task.cancel()
        ending: list[Member | Writer] = [*self._members.values(), self._writer]
        with suppress(TimeoutError):  # nobody may be there to say goodbye to
            async with asyncio.timeout(_FAREWELL):
                await asyncio.gather(*tasks, *(one.stop() for one in ending), return_exceptions=True)
        await self._cluster.close()

    async def suspend(self) -> None:
        """Stop the heartbeats."""
        for member in self._members.values():
            await member.suspend()

    async def resume(self) -> None:
        """Beat again."""
        for member in self._members.values():
            await member.resume()

    async def _fetch(self, want: Want, until: float) -> Sequence[Receipt]:
        found = await self._in_time(asyncio.gather(*(self._member(queue) for queue, _ in want.queues)))
        members = [(member, most) for member, (_, most) in zip(found, want.queues, strict=True)]
        with ExitStack() as fetching:
            for member in found:
                fetching.enter_context(member.appetite.fetching())
            while not (taken := await self._once(want, members)) and not self._stopped:
                now = asyncio.get_running_loop().time()
                if now >= until and not await self._behind(members, until):
                    break
                await self._hear(max(until, now + _CATCH_UP))
        return taken

    async def _catch_up(self, members: Sequence[tuple[Member, int]], limit: int) -> None:
        """Give what goes first a moment to come in."""
        ends = asyncio.get_running_loop().time() + _CATCH_UP
        while await self._in_time(unread_ahead(members, limit)) and asyncio.get_running_loop().time() < ends:
            await self._hear(ends)
            self._news.clear()

    async def _hear(self, until: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout_at(until):
                await self._news.wait()

    async def _once(self, want: Want, members: Sequence[tuple[Member, int]]) -> Sequence[Receipt]:
        self._news.clear()
        taken = self._again(want)
        if not taken:
            await self._catch_up(members, want.limit)
            taken = self._take(want.limit, members)
        if taken:
            # its death would go uncounted else: a task that kills its worker must not do so for ever
            await self._in_time(flush_all({self._holdings[receipt].member for receipt in taken}))
            return [receipt for receipt in taken if self._holdings[receipt].ours]
        return ()

    async def _behind(self, members: Sequence[tuple[Member, int]], until: float) -> bool:
        """Whether the broker may have what was not read yet. It has to answer that: an outage is no empty queue."""
        sharing_out = [member.settled_down.wait() for member, _ in members if not member.settled_down.is_set()]
        if sharing_out and asyncio.get_running_loop().time() < until + self._settings.timeout:
            with suppress(TimeoutError):
                await self._in_time(asyncio.gather(*sharing_out))
            return True
        if any(member.holds_back for member, _ in members) and asyncio.get_running_loop().time() < until + self._lease:
            return True
        return any([await self._in_time(member.behind()) for member, _ in members])

    async def _in_time(self, call: Awaitable[Any]) -> Any:
        async with asyncio.timeout(self._settings.timeout):
            return await call

    async def _member(self, queue: QueueName) -> Member:
        # not a child of the call that happened to be the first
        joining = self._joining.get(queue)
        if joining is None or (joining.done() and (joining.cancelled() or joining.exception() is not None)):
            joining = asyncio.get_running_loop().create_task(self._join(queue), name=f"joining for {queue}")
            self._joining[queue] = joining
        return await asyncio.shield(joining)

    async def _join(self, queue: QueueName) -> Member:
        member = Member(
            queue,
            {level: self._names.lane(queue, level) for level in self._settings.priorities},
            self._names.group(queue),
            options.for_consumer(self._settings, self._lease),
            ends=self._ends,
            news=self._news.set,
        )
        await member.start()
        self._members[queue] = member
        reading = asyncio.get_running_loop().create_task(member.run(), name=f"reader of {queue}")
        reading.add_done_callback(self._over)
        self._tasks.add(reading)
        return member

    def _over(self, reading: asyncio.Task[None]) -> None:
        """No reader ends by itself: one that has failed takes the session with it, or its partitions would be read by nobody."""
        if not reading.cancelled() and (failure := reading.exception()) is not None:
            _log.error("the %s has failed: the session ends", reading.get_name(), exc_info=failure)
            self._failure = failure
            self._stopped = True
            self._news.set()

    def _check(self) -> None:
        if self._stopped:
            raise BrokerClosed("the session has ended") from self._failure

    def _sharing_out(self, queue: QueueName) -> bool:
        """Whether the group of a queue has not agreed yet who reads what."""
        member = self._members.get(queue)
        return member is None or not member.settled_down.is_set()

    def _producer(self, session: str) -> AIOKafkaProducer:
        producer = AIOKafkaProducer(**options.for_transactions(self._settings, f"{self._names.prefix}tx.{session}"))
        commit_as(producer, self._membership)
        abort_in_earnest(producer)
        return producer

    def _membership(self, group: str) -> Membership:
        return next(member.membership for member in self._members.values() if member.group == group)

    def _take(self, limit: int, members: Iterable[tuple[Member, int]]) -> Sequence[Receipt]:
        receipts: list[Receipt] = []
        for member, most in members:
            for taken in member.take(min(most, limit - len(receipts))):
                self._receipts += 1
                record = taken.record
                envelope = envelope_of(record.key, record.value, taken.queue)
                counts = taken.part.counts(taken.place.offset, counts_of(record.headers))
                delivery = Delivery(envelope, self._receipts, counts)
                self._holdings[self._receipts] = Holding(taken, member, delivery, taken.part.untold(taken.place.offset))
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
