"""A session of the classic lane, as the contract has it; its other half reads and beats in an I/O thread."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import ParamSpec, TypeVar

from orcastra_core.interfaces.session import Session
from orcastra_core.liveness.io_thread import IoThread
from orcastra_core.model.delivery import Delivery, Receipt, Want
from orcastra_core.model.errors import BrokerClosed, BrokerError, BrokerTimeout, BrokerUnavailable
from orcastra_core.model.names import QueueName, SessionId
from orcastra_core.model.session import DueSoon, Lost, Signal
from orcastra_core.model.settlement import STALE, Done, Failed, Moved, Release, Retry, Settled, Settlement
from orcastra_core.serialization import event_codec
from orcastra_kafka import settle_share
from orcastra_kafka.classic.engine import Engine
from orcastra_kafka.classic.holding import End, Holding
from orcastra_kafka.classic.settles import Settles
from orcastra_kafka.core import Core
from orcastra_kafka.errors import CLIENT_ERRORS, translate
from orcastra_kafka.heirs import losses_of
from orcastra_kafka.producer import Record
from orcastra_kafka.publish import event_record

P = ParamSpec("P")
T = TypeVar("T")

_log = logging.getLogger("orcastra.kafka")


class ClassicSession(Session):
    """A member of the consumer group of each queue that it reads.

    What a partition that the group gave away held is settled in vain: STALE. The session goes on with the others.

    Args:
        core: Of the broker that opened it.
        session_id: Never used before.
        lease: Seconds after which the groups miss it, if it beats no more.
        ended: Called when it is over.
    """

    def __init__(
        self, core: Core, session_id: SessionId, lease: float, ended: Callable[[ClassicSession], None]
    ) -> None:
        self.id = session_id
        self.lease = lease
        self._core = core
        self._ended = ended
        self._io = IoThread(str(session_id))
        self._engine: Engine | None = None
        self._holding: dict[Receipt, Holding] = {}
        self._answered = True
        self._disowned: list[Receipt] = []
        self._settles = Settles(within=core.settings.timeout)
        self._closed = asyncio.Event()
        self._ears = asyncio.Event()
        core.due_soon.listen(self._ears)

    async def begin(self, queues: Sequence[QueueName]) -> None:
        """Start the thread, and connect there. Groups are joined by the first fetch. Raises BrokerError."""
        await self._io.__aenter__()
        try:
            await self._core.ensure_queues(list(queues))
            self._engine = await self._io.call(Engine.made, self._core.settings, str(self.id), self.lease)
            await self._reach()  # the groups are joined later: is anybody there?
            async with asyncio.timeout(self._core.settings.timeout):
                await self._io.call(self._engine.start)
        except CLIENT_ERRORS as error:
            await self.drop()
            raise translate(error, self._core.where) from error
        except BaseException:
            await self.drop()
            raise

    async def fetch(self, want: Want, /, *, wait: float) -> Sequence[Delivery]:
        self._check()
        quotas = [(queue, most) for queue, most in want.queues if most > 0]
        if want.limit <= 0 or not quotas:
            return []
        await self._core.ensure_queues([queue for queue, _ in quotas])
        answered, self._answered = self._answered, False
        disowned, self._disowned = self._disowned, []
        for receipt in disowned:
            self._holding.pop(receipt, None)
        taken = await self._call(self._made.fetch, Want(want.limit, quotas), wait, answered=answered, disowned=disowned)
        self._answered = True
        self._holding.update(taken)
        return [one.delivery for one in taken.values()]

    async def settle(self, batch: Sequence[Settlement], /, *, number: int) -> Sequence[Settled]:
        self._check()
        try:
            answers = await self._settles.once(number, partial(self._settle, batch))
        except BrokerError:
            raise
        except CLIENT_ERRORS as error:
            raise translate(error, self._core.where) from error
        return [STALE] * len(batch) if answers is None else answers

    async def signals(self, *, wait: float) -> Sequence[Signal]:
        """Nobody tells of an outage: it is asked for every now and then."""
        self._check()
        until = self._core.loop.time() + wait
        while (left := until - self._core.loop.time()) > 0:
            try:
                async with asyncio.timeout(min(left, self._core.settings.timeout)):
                    await self._ears.wait()
            except TimeoutError:
                pass
            self._check()
            if self._core.due_soon.heard(self._ears):
                return [DueSoon()]
            await self._reach()
        return []

    async def held(self) -> Sequence[Receipt]:
        held = await self._call(self._made.held)
        await self._reach()
        return held

    def disown(self, receipts: Sequence[Receipt], /) -> None:
        self._disowned += receipts

    async def leave(self) -> None:
        if self._closed.is_set():
            return
        try:
            async with asyncio.timeout(self._core.settings.timeout):
                await self._hand_back(End.RELEASED)
        except (BrokerError, TimeoutError) as error:
            _log.debug("session %s left without a word: %s", self.id, error)
        finally:
            await self.drop()

    async def expire(self) -> int:
        """End it as its death would: what it holds is handed out again, ``lost`` + 1. Return how much that is."""
        await self._reach()
        lost = await self._hand_back(End.LOST)
        await self.drop()
        now, told = self._core.clock.now(), b""
        for one in lost:
            counts = one.delivery.counts.bereaved()
            told += losses_of(one.delivery, one.taken.queue, one.untold, now)
            told += event_codec.lost(Lost(one.delivery.envelope.id, one.taken.queue, counts, self.id), now)
        if told:
            await self._core.ensure_events()
            await self._core.producer.send([event_record(self._core, told)])
        return len(lost)

    async def _hand_back(self, end: End) -> Sequence[Holding]:
        """End what is held this way, once the settles are over that are on their way."""
        await self._settles.finished()
        return await self._call(self._made.leave, end)

    async def drop(self) -> None:
        """End it without giving anything back: it leaves its groups, and what it held counts as lost."""
        if self._closed.is_set():
            return
        self._closed.set()
        self._ears.set()
        self._ended(self)
        self._settles.cancel()
        try:
            if self._engine is not None:
                await self._io.call(self._engine.stop)
        except BrokerClosed:
            pass
        finally:
            await self._io.__aexit__()
            await self._settles.finished()

    async def suspend(self) -> None:
        """Stop the heartbeats, as a process that stands still. For tests."""
        await self._call(self._made.suspend)

    async def resume(self) -> None:
        """Beat again."""
        await self._call(self._made.resume)

    async def _settle(self, batch: Sequence[Settlement]) -> Sequence[Settled]:
        items = settle_share.prepare(self._core, batch, self._holding)
        for item, settlement in zip(items, batch, strict=True):
            if isinstance(settlement, (Retry, Release)):
                item.records.clear()  # it stays where it is
            if isinstance(one := item.held, Holding) and one.untold and item.answer is None:
                item.events = losses_of(one.delivery, one.taken.queue, one.untold, self._core.clock.now()) + item.events
        if self._core.settings.transactions:
            await settle_share.make_room(self._core, items, batch)
            await self._transact(items, batch)
        else:
            await settle_share.leave_behind(self._core, items, batch)
            live = [n for n, item in enumerate(items) if item.answer is None]
            await self._finish(items, batch, live, [])
        _raise_if_unheard(items)
        for settlement, item in zip(batch, items, strict=True):
            if item.answer is STALE or isinstance(item.answer, Done):
                self._holding.pop(settlement.delivery.receipt, None)
        return [item.answer if item.answer is not None else STALE for item in items]

    async def _transact(self, items: Sequence[settle_share.Item], batch: Sequence[Settlement]) -> None:
        """Settle in transactions: one a queue, for aiokafka's can commit to one group only."""
        queues: dict[QueueName, list[int]] = {}
        for n, item in enumerate(items):
            if item.answer is None:
                queues.setdefault(self._holding[batch[n].delivery.receipt].taken.queue, []).append(n)
        for places in queues.values():
            live = places
            try:
                while live := [n for n in live if items[n].answer is None]:
                    events = b"".join(items[n].events for n in live)
                    records = [record for n in live for record in items[n].records]
                    records += [event_record(self._core, events)] if events else []
                    await self._finish(items, batch, live, records)
            except BrokerError as error:
                for n in live:
                    items[n].fail(error)

    async def _finish(
        self,
        items: Sequence[settle_share.Item],
        batch: Sequence[Settlement],
        live: Sequence[int],
        records: Sequence[Record],
    ) -> None:
        """End deliveries; with records, all of them or, if one is not held any more, none yet: that one gets its answer."""
        ends = [(batch[n].delivery.receipt, _end(batch[n])) for n in live]
        said = await self._call(self._made.finish, ends, records) if ends else []
        for n, over in zip(live, said, strict=True):
            if not over:
                items[n].answer = STALE
            elif all(said) or not records:
                items[n].done()

    @property
    def _made(self) -> Engine:
        self._check()
        assert self._engine is not None
        return self._engine

    def _check(self) -> None:
        if self._closed.is_set() or self._core.closed:
            raise BrokerClosed(f"session {self.id} has ended, or its broker was closed")

    async def _reach(self) -> None:
        """Have a broker answer. Raises BrokerError."""
        try:
            async with asyncio.timeout(self._core.settings.timeout):
                await self._core.cluster.metadata([])
        except CLIENT_ERRORS as error:
            raise translate(error, self._core.where) from error

    async def _call(self, function: Callable[P, Awaitable[T]], /, *args: P.args, **kwargs: P.kwargs) -> T:
        self._check()
        try:
            return await self._io.call(function, *args, **kwargs)
        except CLIENT_ERRORS as error:
            raise translate(error, self._core.where) from error


def _raise_if_unheard(items: Sequence[settle_share.Item]) -> None:
    """Raise what kept all of a batch from taking effect, if the broker did not answer: the same may be tried again."""
    errors = [item.answer.error if isinstance(item.answer, Failed) else None for item in items]
    for error in errors:
        if isinstance(error, BrokerUnavailable | BrokerTimeout) and all(errors):
            raise error


def _end(settlement: Settlement) -> End:
    if isinstance(settlement, Retry):
        return End.RETRIED
    if isinstance(settlement, Moved):
        return End.MOVED
    return End.RELEASED if isinstance(settlement, Release) else End.DONE
