"""One share session: a member's conversation with the leader of some partitions."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Iterable

from orcastra_kafka.share.acks import Ack, AckType, Narrowing, by_partition, rows_by_partition
from orcastra_kafka.share.errors import COORDINATOR_MOVED, LEADER_MOVED, KafkaCode, SessionLost, ShareError
from orcastra_kafka.share.member import Member
from orcastra_kafka.share.messages import Partition, ShareAcknowledge, ShareFetch, ShareFetched
from orcastra_kafka.share.orders import Order, Orders
from orcastra_kafka.share.pauses import pause_unless
from orcastra_kafka.share.private import Connection, KafkaError
from orcastra_kafka.share.records import ShareRecord, records_of
from orcastra_kafka.share.wire import Request, T

_log = logging.getLogger(__name__)

BUSY_PARK = 0.025
"""Seconds a fetch may stay with the broker while records are held: their acknowledgements wait for its return."""
IDLE_PARK = 0.25
"""And while none are held. A release by another member does not wake it, so not for ever."""
_TRIES = 40
_PAUSE = 0.05
_TRY_AGAIN = COORDINATOR_MOVED | {KafkaCode.REQUEST_TIMED_OUT, KafkaCode.NETWORK_EXCEPTION}

BROKEN = (KafkaError, OSError, TimeoutError, EOFError, ValueError)
"""What a conversation ends with."""


class LeaderSession:
    """Fetches, acknowledges and renews, one request at a time: each moves the session's epoch.

    Acknowledgements ride on the next fetch; with none wanted they go by themselves. A connection that is lost takes
    the session with it, and what it held: the broker hands that out again at once. The next fetch begins a new one.
    """

    def __init__(self, member: Member, node: int, unclaimed: Callable[[list[ShareRecord]], None]) -> None:
        self.node = node
        self.held: dict[tuple[Partition, int], ShareRecord] = {}
        self._member = member
        self._orders = Orders(unclaimed)
        self._connection: Connection | None = None
        self._epoch = 0
        self._known: frozenset[Partition] = frozenset()
        self._pending: deque[Ack] = deque()
        self._narrowing = Narrowing()
        self._renew = False
        self._wake = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        self._loop = asyncio.get_running_loop()

    def fetch(self, limit: int, wait: float) -> asyncio.Future[list[ShareRecord]]:
        """Ask for records; one order at a time. Cancel the future to give up: what comes is kept for the next."""
        self._wake.set()
        return self._orders.place(limit, self._loop.time() + wait)

    def acknowledge(self, acks: Iterable[Ack]) -> None:
        """Send these with the next request."""
        self._pending.extend(acks)
        self._wake.set()

    def renew(self) -> None:
        """Renew the locks of all that is held."""
        if self.held:
            self._renew = True
            self._wake.set()

    def let_go(self, partitions: Iterable[Partition]) -> None:
        """Somebody else leads these now, and knows of no locks."""
        gone = set(partitions)
        lost = [place for place in self.held if place[0] in gone]
        if lost:
            why = ShareError(KafkaCode.NOT_LEADER_OR_FOLLOWER, doing="keeping a lock")
            self._member.lost([self.held.pop(place) for place in lost], why)

    @property
    def busy(self) -> bool:
        """Whether something is on its way, or about to be."""
        return bool(self._pending) or not self._idle.is_set()

    async def settled(self) -> None:
        """Wait for the answer to what is on its way: it may bring records that nobody waits for any more."""
        await self._idle.wait()

    async def run(self) -> None:
        """Converse until cancelled."""
        try:
            while True:
                try:
                    await self._turn()
                except BROKEN as error:
                    self._break(error)
                finally:
                    self._idle.set()
        finally:
            self._break(SessionLost(KafkaCode.SHARE_SESSION_NOT_FOUND, "the consumer was closed"))

    async def _turn(self) -> None:
        if self._connection is not None and not self._connection.connected():
            raise SessionLost(KafkaCode.NETWORK_EXCEPTION, "the connection was closed")
        order = self._orders.current()
        if order is None and not self._pending and not self._narrowing and not self._renew:
            self._wake.clear()
            await self._wake.wait()
            return
        if not self._epoch and order is None:  # nothing can be held: what is to be said comes too late
            self._break(SessionLost(KafkaCode.SHARE_SESSION_NOT_FOUND))
            return
        wanted = self._member.led_by(self.node)
        acks = self._next_acks()
        renews = any(ack.type is AckType.RENEW for ack in acks)
        grouped = by_partition(acks)
        self._idle.clear()
        if self._epoch and acks and (renews or order is None or not grouped.keys() <= wanted):
            await self._acknowledge(grouped, renews)
        elif order is not None:
            await self._fetch(order, wanted, grouped)

    def _next_acks(self) -> list[Ack]:
        if self._narrowing:
            return self._narrowing.next()
        acks, self._pending = list(self._pending), deque()
        if self._renew:
            self._renew = False
            said = {(ack.partition, ack.offset) for ack in acks}
            acks += [Ack(*place, AckType.RENEW) for place in self.held if place not in said]
        return acks

    async def _acknowledge(self, acks: dict[Partition, list[Ack]], renews: bool) -> None:
        request = ShareAcknowledge(
            group=self._member.group,
            member=self._member.id,
            epoch=self._epoch,
            renews=renews,
            acks=rows_by_partition(acks),
        )
        said = await self._exchange(request, acks)
        self._whole(said.error, said.message, acks)
        moved = False
        for partition, some in acks.items():
            code, _ = said.partitions.get(partition, (0, None))
            moved = moved or code in LEADER_MOVED
            self._answer(some, code)
        if moved:
            self._member.moved(None)
        await self._pause()

    async def _fetch(self, order: Order, wanted: frozenset[Partition], acks: dict[Partition, list[Ack]]) -> None:
        left = max(0.0, order.until - self._loop.time())
        park = 0.0 if acks else min(left, BUSY_PARK if self.held else IDLE_PARK)
        forget = self._known - wanted
        if forget:
            forget -= {partition for partition, _ in self.held}
        request = ShareFetch(
            group=self._member.group,
            member=self._member.id,
            epoch=self._epoch,
            wait=park,
            max_records=order.missing,
            batch_size=order.missing,
            acks=rows_by_partition(acks),
            add=wanted - self._known,
            forget=forget,
        )
        said = await self._exchange(request, acks)
        self._whole(said.error, said.message, acks)
        self._known = (self._known | wanted) - forget
        if said.lock:
            self._member.locked(said.lock)
        for partition, some in acks.items():
            told = said.partitions.get(partition)
            self._answer(some, told.ack_error if told is not None else 0)
        records, gaps = self._take(said)
        order.taken += records
        if gaps and order.missing > 0:
            return  # they were counted: ask for what they took the place of
        if order.taken or left <= park:
            self._orders.deliver(order)
        await self._pause()

    def _take(self, said: ShareFetched) -> tuple[list[ShareRecord], bool]:
        """Return what came, and whether there were gaps."""
        taken: list[ShareRecord] = []
        moved = gapped = False
        for partition, fetched in said.partitions.items():
            if fetched.error:
                moved = moved or fetched.error in LEADER_MOVED
                if fetched.error not in LEADER_MOVED | _TRY_AGAIN:
                    raise ShareError(fetched.error, fetched.message, doing="share fetch")
            if fetched.acquired:
                records, gaps = records_of(self._member.topic_name(partition[0]), partition, fetched)
                self._pending.extend(Ack(partition, offset, AckType.GAP) for offset in gaps)
                gapped = gapped or bool(gaps)
                self.held.update(((partition, record.offset), record) for record in records)
                taken += records
        if moved:
            self._member.moved(said)
        return taken, gapped

    async def _exchange(self, request: Request[T], acks: dict[Partition, list[Ack]]) -> T:
        try:
            if self._connection is None:
                self._connection = await self._member.connect(self.node, self._wake.set)
            said = request.read(await self._connection.send(request))
        except BaseException:
            for some in acks.values():  # whether they took effect is not known
                for ack in some:
                    ack.answer(KafkaCode.SHARE_SESSION_NOT_FOUND)
            raise
        self._epoch = self._epoch + 1 if self._epoch < 0x7FFFFFFF else 1
        return said

    def _whole(self, code: int, message: str | None, acks: dict[Partition, list[Ack]]) -> None:
        """Give the session up for an error of the whole request."""
        if not code:
            return
        for some in acks.values():
            for ack in some:
                ack.answer(KafkaCode.SHARE_SESSION_NOT_FOUND)
        raise ShareError(code, message, doing=f"share session with broker {self.node}")

    def _answer(self, acks: list[Ack], code: int) -> None:
        if code == KafkaCode.NONE:
            for ack in acks:
                if ack.type is not AckType.RENEW:
                    self.held.pop((ack.partition, ack.offset), None)
                ack.answer(0)
        elif code in _TRY_AGAIN:
            for ack in acks:
                ack.tries += 1
                if ack.tries < _TRIES:
                    self._pending.append(ack)
                else:
                    ack.answer(code)  # still held: its holder may try again
        elif code == KafkaCode.INVALID_RECORD_STATE and len(acks) > 1:
            self._narrowing.split(acks)
        else:
            lost = [self.held.pop((ack.partition, ack.offset), None) for ack in acks]
            for ack in acks:
                ack.answer(code)
            gone = [record for record, ack in zip(lost, acks, strict=True) if record and ack.type is AckType.RENEW]
            if gone:
                self._member.lost(gone, ShareError(code, doing="renewing a lock"))

    async def _pause(self) -> None:
        """Wait a little before what a coordinator had no time for is sent again."""
        if any(ack.tries for ack in self._pending):
            self._wake.clear()
            await pause_unless(self._wake, _PAUSE)

    def _break(self, error: BaseException) -> None:
        """The session is over: so is all that it held."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()
        self._epoch, self._known, self._renew = 0, frozenset(), False
        pending, self._pending = self._pending, deque()
        for ack in [*pending, *self._narrowing.drain()]:
            ack.answer(KafkaCode.SHARE_SESSION_NOT_FOUND)
        lost, self.held = list(self.held.values()), {}
        self._orders.fail(lambda: _lost(error))
        if lost:
            _log.info("share session with broker %d ended with %d records: %s", self.node, len(lost), error)
            self._member.lost(lost, error)
        self._member.moved(None)


def _lost(error: BaseException) -> SessionLost:
    failure = SessionLost(getattr(error, "code", KafkaCode.NETWORK_EXCEPTION), str(error) or type(error).__name__)
    failure.__cause__ = error
    return failure
