"""A session's calls."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from orcastra_core.interfaces.broker import Broker
from orcastra_core.interfaces.session import Session
from orcastra_core.interfaces.transaction import SettlingTransaction
from orcastra_core.model.counts import FRESH, Counts
from orcastra_core.model.delivery import Delivery, Receipt, Want
from orcastra_core.model.envelope import Envelope, Unreadable
from orcastra_core.model.errors import (
    BrokerClosed,
    BrokerError,
    DeserializationError,
    InvalidOption,
    SessionFenced,
)
from orcastra_core.model.ids import TaskId
from orcastra_core.model.names import QueueName, SessionId
from orcastra_core.model.session import Signal
from orcastra_core.model.settlement import STALE, Done, Settled, Settlement
from orcastra_core.serialization.envelope_codec import decode_envelope
from orcastra_postgres.beat import Beat
from orcastra_postgres.connect import Connection
from orcastra_postgres.core import Core
from orcastra_postgres.ears import Ears
from orcastra_postgres.settings import LIMITS
from orcastra_postgres.settle import Batch, Held, held
from orcastra_postgres.statements import query
from orcastra_postgres.sweep import leave
from orcastra_postgres.transactions import PostgresTransaction

_LEAST_PAUSE = 0.002
_LOOK_AGAIN = (0.005, 0.05)
"""Seconds after which a session that has just said that it waits looks again: who published just then may not have known."""


class PostgresSession(Session):
    """A session: a row that is its fence, and the rows of what it holds."""

    def __init__(self, broker: Broker, core: Core, number: int, session_id: str, lease: float) -> None:
        self.broker = broker
        self.id = SessionId(session_id)
        self.number = number
        self.lease = lease
        self._core = core
        self._holding: dict[Receipt, Held] = {}
        self._answers: dict[int, Sequence[Settled]] = {}
        self._in_doubt: dict[int, Batch] = {}  # settles that got no answer
        self._fetches = 0
        self._doubt = False  # a fetch got no answer, or what it gave was disowned
        self._wanted: frozenset[str] = frozenset()
        self._fenced = False
        self._closed = False
        self._registered = False  # whether others have just been told that it waits
        self._bell = asyncio.Event()
        self._ears = Ears(core, number, lambda: [one.id for one in self._holding.values()], self.fence)
        self._beat = Beat(core.settings, number, session_id, lease, self._fenced_elsewhere)

    def begin(self) -> None:
        """Start to beat."""
        self._beat.start()

    async def fetch(self, want: Want, /, *, wait: float) -> Sequence[Delivery]:
        loop = asyncio.get_running_loop()
        until = loop.time() + wait
        self._wanted = frozenset(name for name, _ in want.queues)
        looks: list[float] = []
        while True:
            self._check()
            self._bell.clear()
            taken, next_in = await self._take(want, waiting=loop.time() < until)
            left = until - loop.time()
            if taken or left <= 0:
                return taken
            if self._registered:
                looks = [*_LOOK_AGAIN]
            pause = min(left, looks.pop(0) if looks else self._core.settings.poll)
            if next_in is not None:
                pause = min(pause, max(_LEAST_PAUSE, next_in))
            try:
                async with asyncio.timeout(pause):
                    await self._bell.wait()
            except TimeoutError:
                pass

    async def settle(self, batch: Sequence[Settlement], /, *, number: int) -> Sequence[Settled]:
        self._check(fenced=False)
        if self._fenced:
            return [STALE] * len(batch)
        known = self._answers.get(number)
        prepared = self._in_doubt.get(number)
        if prepared is None:
            prepared = Batch([] if known is not None else batch, self._holding, self._core.now())
        self._in_doubt[number] = prepared
        row = await self._core.call(
            "settle",
            self._core.domain,
            self.number,
            number,
            number % LIMITS.settle_window,
            *prepared.arguments(),
        )
        said, soon = row["said"], row["soon"]
        self._in_doubt.pop(number, None)
        if said in ("F", "T"):
            if said == "F":
                self.fence()
            return [STALE] * len(batch)
        if known is not None:
            return known
        answers = prepared.answers(said)
        for item, answer in zip(batch, answers, strict=True):
            if answer is STALE or isinstance(answer, Done):
                self._holding.pop(item.delivery.receipt, None)
        self._answers[number] = answers
        if len(self._answers) > LIMITS.settle_window:
            del self._answers[min(self._answers)]
        prepared.tell(self._core, answers)
        if soon:
            self._core.tell_due()
        return answers

    async def transaction(self, delivery: Delivery, /) -> SettlingTransaction:
        self._check()
        known = self._holding.get(delivery.receipt)
        if known is None:
            raise InvalidOption(f"{delivery.envelope.id} is not held by session {self.id}")
        conn = await self._core.transactions.lend()
        return PostgresTransaction(self._core, self, delivery.receipt, known, conn)

    async def signals(self, *, wait: float) -> Sequence[Signal]:
        loop = asyncio.get_running_loop()
        until = loop.time() + wait
        while True:
            self._check(fenced=False)
            told = await self._ears.hear(self._fenced)
            left = until - loop.time()
            if told or left <= 0:
                return told
            await self._ears.listen(min(left, self._core.settings.poll))

    async def held(self) -> Sequence[Receipt]:
        self._check(fenced=False)
        if self._fenced:
            return []
        schema = self._core.settings.schema
        wait, look = query("await_fetch", schema), query("held", schema)
        number, doubt = self.number, self._doubt

        async def work(conn: Connection) -> list[Receipt]:
            if doubt:  # a fetch that was given up may still be under way: look behind it
                await conn.execute(wait, number)
            return [row[0] for row in await conn.fetch(look, number)]

        return await self._core.pool.run(work)

    def disown(self, receipts: Sequence[Receipt], /) -> None:
        for receipt in receipts:
            self._holding.pop(receipt, None)
            self._doubt = True
        self._bell.set()

    async def leave(self) -> None:
        if self._closed:
            return
        self.drop()
        if not self._fenced:
            try:
                async with asyncio.timeout(self.lease):
                    await leave(self._core, self.number, self.id)
            except (BrokerError, TimeoutError):
                pass  # it lapses
        await asyncio.to_thread(self._beat.stop)

    def drop(self) -> None:
        """End the session here, without a word to the server: it lapses. Idempotent."""
        if self._closed:
            return
        self._closed = True
        self._bell.set()
        self._ears.look()
        self._core.sessions.discard(self)

    def stop_beating(self) -> None:
        """Stop the beat's thread and wait for it."""
        self._beat.stop()

    def suspend(self) -> None:
        """Stop beating, as a stopped process would; waits for a beat under way. For tests."""
        self._beat.suspend()

    def resume(self) -> None:
        """Beat again. For tests."""
        self._beat.resume()

    def wake(self, queue: str | None = None) -> None:
        """Have a waiting fetch look again, if it is about this queue, or about any."""
        if queue is None or queue in self._wanted:
            self._bell.set()

    def look(self) -> None:
        """Have the session look for wishes to cancel."""
        self._ears.look()

    def due_soon(self) -> None:
        """Have the session told that the next due moment has moved."""
        self._ears.due_soon()
        self._bell.set()

    @property
    def ended(self) -> bool:
        """Whether it was left, or its broker closed."""
        return self._closed or self._core.closed

    def let_go(self, receipt: Receipt) -> None:
        """Note that a delivery is held no more."""
        self._holding.pop(receipt, None)

    def fence(self) -> None:
        """Note that the session was reaped."""
        self._fenced = True
        self._holding.clear()
        self._bell.set()
        self._ears.look()

    async def _take(self, want: Want, *, waiting: bool) -> tuple[list[Delivery], float | None]:
        self._fetches += 1
        seen: list[Receipt] | None = list(self._holding) if self._doubt else None
        self._doubt = True  # until the answer has arrived
        row = await self._core.call(
            "fetch",
            self._core.domain,
            self.number,
            self._fetches,
            want.limit,
            [name for name, _ in want.queues],
            [most for _, most in want.queues],
            seen,
            waiting,
        )
        status, more, next_in, self._registered, receipts, counts, envelopes, promoted = row
        if status == 1:
            self.fence()
            raise SessionFenced(f"session {self.id} was reaped; open a new one")
        if status == 2:  # one of its own that was given up has come after it: ask again
            return [], 0.0
        if self._fenced:
            raise SessionFenced(f"session {self.id} was reaped; open a new one")
        deliveries: list[Delivery] = []
        strange: list[int] = []
        holding = self._holding
        for at, receipt in enumerate(receipts or ()):
            how = FRESH if counts is None or not any(counts[at]) else Counts(*counts[at])
            envelope: Envelope | Unreadable
            try:
                envelope = decode_envelope(envelopes[at])
                holding[receipt] = held(envelope)
            except DeserializationError as error:
                strange.append(at)
                envelope = Unreadable(TaskId(""), QueueName(""), envelopes[at] or b"", str(error))
            deliveries.append(Delivery(envelope, receipt, how))
            if how.lost:
                self.look()
        if strange:
            await self._name(deliveries, strange)
        self._doubt = more
        if promoted:
            self._core.tell_ready(promoted)
        if deliveries:
            self._core.chores.taken()
        return deliveries, 0.0 if more and not deliveries else next_in

    async def _name(self, deliveries: list[Delivery], strange: Sequence[int]) -> None:
        rows = await self._core.ask("nameless", self.number, [deliveries[at].receipt for at in strange])
        names = {receipt: (TaskId(str(task_id)), QueueName(queue)) for receipt, task_id, queue in rows}
        for at in strange:
            one = deliveries[at]
            assert isinstance(one.envelope, Unreadable)
            task_id, queue = names.get(one.receipt, (TaskId(""), QueueName("")))
            deliveries[at] = Delivery(
                Unreadable(task_id, queue, one.envelope.raw, one.envelope.error), one.receipt, one.counts
            )
            self._holding[one.receipt] = Held(task_id, queue, True)

    def _fenced_elsewhere(self) -> None:
        try:
            self._core.loop.call_soon_threadsafe(self.fence)
        except RuntimeError:
            pass  # the loop is closed: nobody is left to be told

    def _check(self, *, fenced: bool = True) -> None:
        if self.ended:
            raise BrokerClosed(f"session {self.id} has ended, or its broker was closed")
        if fenced and self._fenced:
            raise SessionFenced(f"session {self.id} was reaped; open a new one")
