"""A session of the share lane."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Sequence

from orcastra_core.interfaces.session import Session
from orcastra_core.liveness.io_thread import IoThread
from orcastra_core.model.counts import Counts
from orcastra_core.model.delivery import Delivery, Receipt, Want
from orcastra_core.model.errors import BrokerClosed, BrokerError, BrokerUnavailable, SessionFenced
from orcastra_core.model.names import QueueName, SessionId
from orcastra_core.model.session import DueSoon, Fenced, Signal
from orcastra_core.model.settlement import STALE, Settled, Settlement
from orcastra_kafka import heirs, settle_share
from orcastra_kafka.core import Core
from orcastra_kafka.errors import CLIENT_ERRORS, translate
from orcastra_kafka.reader_share import Held, Reader
from orcastra_kafka.share.acks import AckType
from orcastra_kafka.share.errors import LEADER_MOVED, SESSION_LOST, KafkaCode

_log = logging.getLogger("orcastra.kafka")

_LATE = LEADER_MOVED | SESSION_LOST | {KafkaCode.INVALID_RECORD_STATE, KafkaCode.FENCED_STATE_EPOCH}
"""What an acknowledgement that came too late is answered."""

_FAREWELL = 2.0
_LOOK_AROUND = 0.5
KEPT = 8
"""Settles whose answers are kept for a repeat."""


class ShareSession(Session):
    """Members of the share groups of its queues, and an I/O thread that keeps their locks.

    A lost connection is a lost session: the broker hands out again what was held by it. So is a lock that could not
    be renewed in time.
    """

    def __init__(self, core: Core, session_id: SessionId, lease: float, ended: Callable[[ShareSession], None]) -> None:
        self.id = session_id
        self.lease = lease
        self._core = core
        self._ended = ended
        self._io = IoThread(session_id)
        self._reader = Reader(core.settings, self._lost)
        self._holding: dict[Receipt, Held] = {}
        self._disowned: deque[Held] = deque()
        self._fenced = False
        self._cut: BrokerError | None = None  # what ended it, until a fetch has told
        self._closed = False
        self._running = False
        self._ears = asyncio.Event()
        core.due_soon.listen(self._ears)
        self._settles: dict[int, asyncio.Task[Sequence[Settled]]] = {}

    async def begin(self, queues: Sequence[QueueName]) -> None:
        """Start the thread and join the groups. Raises BrokerError."""
        await self._io.__aenter__()
        self._running = True
        await self._io.call(self._reader.begin, list(queues))

    async def fetch(self, want: Want, /, *, wait: float) -> Sequence[Delivery]:
        self._check()
        if not self._reader.given and not self._disowned:
            quotas = [(queue, most) for queue, most in want.queues if most > 0]
            if want.limit <= 0 or not quotas:
                return []
            queues = [queue for queue, _ in quotas]
            await self._core.ensure_queues(queues)
            await self._core.ensure_groups(queues, self.lease)
            try:
                await self._io.call(self._reader.take, quotas, want.limit, wait)
            except BrokerError as error:
                self._check()  # what is closed fails in its own ways
                self._core.look_again(error)
                raise
            self._check()
        return self._hand_out(want)

    async def settle(self, batch: Sequence[Settlement], /, *, number: int) -> Sequence[Settled]:
        self._check(fenced=False)
        if self._fenced:
            return [STALE] * len(batch)
        settling = self._settles.get(number)
        if settling is None:
            # not the caller's own: who gives up in the middle would leave a follow-up without its settlement
            settling = self._core.loop.create_task(self._settle(batch), name=f"kafka-settle-{number}")
            self._settles[number] = settling
            for old in [one for one in self._settles if one <= number - KEPT]:
                del self._settles[old]
        try:
            return await asyncio.shield(settling)
        except asyncio.CancelledError:
            if settling.cancelled():
                raise BrokerClosed(f"session {self.id} has ended") from None
            raise
        except BrokerError:
            self._settles.pop(number, None)  # nothing took effect: a repeat tries again
            raise

    async def _settle(self, batch: Sequence[Settlement]) -> Sequence[Settled]:
        items = settle_share.prepare(self._core, batch, self._holding)
        for item in items:
            if isinstance(item.held, Held) and item.held.lost and item.answer is None:
                item.events = heirs.losses(item.held, self._core.clock.now()) + item.events
        try:
            await settle_share.leave_behind(self._core, items, batch)
        except BrokerClosed:
            raise
        except BrokerError as error:
            self._core.look_again(error)
            for item in items:
                if item.answer is None:
                    item.fail(error)
        settle_share.raise_if_unreachable(items)
        live = [item for item in items if item.answer is None]
        helds = [item.held for item in live if isinstance(item.held, Held)]
        codes = await self._io.call(self._reader.settle, helds, AckType.ACCEPT) if helds else []
        for item, held, code in zip(live, helds, codes, strict=True):
            if code == KafkaCode.NONE:
                item.done()
                self._holding.pop(held.delivery.receipt, None)
            elif code in _LATE:
                item.answer = STALE
                self._holding.pop(held.delivery.receipt, None)
            else:
                item.fail(BrokerUnavailable(f"{self._core.where}: error {code} for an acknowledgement"))
        return [item.answer if item.answer is not None else STALE for item in items]

    async def signals(self, *, wait: float) -> Sequence[Signal]:
        self._check(fenced=False)
        until = self._core.loop.time() + wait
        while not self._fenced and (left := until - self._core.loop.time()) > 0:
            try:
                async with asyncio.timeout(min(left, _LOOK_AROUND)):
                    await self._ears.wait()
            except TimeoutError:
                pass
            self._check(fenced=False)
            if self._core.due_soon.heard(self._ears) and not self._fenced:
                return [DueSoon()]
            trouble = self._reader.trouble()
            if trouble is not None and not self._fenced:
                raise translate(trouble, self._core.where)
        return [Fenced()] if self._fenced else []

    async def held(self) -> Sequence[Receipt]:
        self._check(fenced=False)
        if self._fenced:
            return []
        return [held.delivery.receipt for held in await self._io.call(self._reader.holding)]

    def disown(self, receipts: Sequence[Receipt], /) -> None:
        for receipt in receipts:
            held = self._holding.pop(receipt, None)
            if held is not None:
                self._disowned.append(held)

    async def leave(self) -> None:
        if self._closed:
            return
        self._closed = True
        self._ears.set()
        try:
            if not self._fenced:
                async with asyncio.timeout(_FAREWELL):
                    await self._settled()
                    await self._hand_back(Counts.handed_back, tell=False)
        except (BrokerError, TimeoutError) as error:
            _log.debug("session %s left without a word: %s", self.id, error)
        finally:
            await self._end()

    async def expire(self) -> int:
        """End it as a sweep would end a dead one: what it holds is handed out again, ``lost`` + 1."""
        self.fence()
        try:
            async with asyncio.timeout(2 * self._core.settings.timeout):
                await self._settled()
                return await self._hand_back(Counts.bereaved, tell=True)
        except (BrokerError, TimeoutError):
            return 0  # the closed connection does it
        finally:
            await self._end()

    def fence(self) -> None:
        """It is over: every later call says so."""
        self._fenced = True
        self._holding.clear()
        self._ears.set()

    async def drop(self) -> None:
        """End it without giving anything back: its connections close, and the broker does the rest."""
        self._closed = True
        self._ears.set()
        await self._end()

    async def suspend(self) -> None:
        """Stop heartbeats and renewals, as a stopped process would. For tests."""
        await self._io.call(self._reader.suspend, True)

    async def resume(self) -> None:
        """Go on with them."""
        await self._io.call(self._reader.suspend, False)

    def _hand_out(self, want: Want) -> list[Delivery]:
        """Hand out what was disowned, and what was taken and not seen yet."""
        quotas: dict[str, int] = {}
        for queue, most in want.queues:
            quotas[queue] = quotas.get(queue, 0) + most
        deliveries: list[Delivery] = []
        for source in (self._disowned, self._reader.given):
            kept: list[Held] = []
            while source and len(deliveries) < want.limit:
                held = source.popleft()
                if quotas.get(held.lane.queue, 0) > 0:
                    quotas[held.lane.queue] -= 1
                    self._holding[held.delivery.receipt] = held
                    deliveries.append(held.delivery)
                else:
                    kept.append(held)
            source.extendleft(reversed(kept))
        return deliveries

    async def _hand_back(self, counted: Callable[[Counts], Counts], *, tell: bool) -> int:
        """Publish again what is held, with other counts, and take the old records away."""
        held = await self._io.call(self._reader.holding)
        safe = await heirs.bequeath(self._core, held, counted, of=self.id if tell else None) if held else []
        if safe:
            await self._io.call(self._reader.settle, safe, AckType.ACCEPT)
        return len(safe)

    async def _settled(self) -> None:
        """Wait for the settles that are on their way."""
        going = [task for task in self._settles.values() if not task.done()]
        if going:
            await asyncio.wait(going)

    async def _end(self) -> None:
        self._ended(self)
        going = [task for task in self._settles.values() if not task.done()]
        for task in going:
            task.cancel()
        if going:
            await asyncio.wait(going)
        if not self._running:
            return
        self._running = False
        try:
            await self._io.call(self._reader.end)
        except (BrokerError, *CLIENT_ERRORS) as error:
            _log.debug("session %s: %s", self.id, error)
        finally:
            await self._io.__aexit__(None, None, None)

    def _lost(self, held: Sequence[Held], why: BaseException) -> None:
        """In the I/O thread: these are not held any more."""
        receipts = [one.delivery.receipt for one in held]
        try:
            self._core.loop.call_soon_threadsafe(self._fence_if_held, receipts, why)
        except RuntimeError:
            pass  # the loop is closed: nobody is left to be told

    def _fence_if_held(self, receipts: Sequence[Receipt], why: BaseException) -> None:
        if self._closed or self._fenced:
            return
        _log.warning("session %s lost %d deliveries: %s", self.id, len(receipts), why)
        self._cut = BrokerUnavailable(f"{self._core.where}: {why}: session {self.id} lost what it held")
        self._cut.__cause__ = why
        self.fence()

    def _check(self, *, fenced: bool = True) -> None:
        if self._closed or self._core.closed:
            raise BrokerClosed(f"session {self.id} has ended, or its broker was closed")
        if fenced and self._cut is not None:
            cut, self._cut = self._cut, None
            raise cut
        if fenced and self._fenced:
            raise SessionFenced(f"session {self.id} lost what it held; open a new one")
