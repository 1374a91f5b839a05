"""What a case may use."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Sequence
from contextlib import AsyncExitStack
from functools import partial
from typing import TypeVar

from orcastra_conformance.engine.expect import NotApplicable, Violation
from orcastra_conformance.engine.harness import BrokerHarness
from orcastra_conformance.engine.recording import Recording
from orcastra_conformance.history.records import Pass
from orcastra_conformance.history.telling import short, shown
from orcastra_core.interfaces.broker import Broker
from orcastra_core.interfaces.session import Session
from orcastra_core.model.delivery import Delivery, Want
from orcastra_core.model.envelope import Envelope
from orcastra_core.model.ids import TaskId
from orcastra_core.model.names import QueueName
from orcastra_core.model.profile import Cap, Profile
from orcastra_core.model.published import Stored
from orcastra_core.model.schedule import Promotion
from orcastra_core.model.settlement import Done, Settlement

T = TypeVar("T")

FAR = 3600.0
"""Seconds that never pass during a case unless it moves the clock: for what must not happen yet."""


class Trial(Recording):
    """One run of one case: clients of a fresh domain, time, and checks.

    Everything done through it is kept in ``history`` for the report.

    Attributes:
        expect: The checks.
        rng: The only source of chance.
        profile: What the broker said at ``open``.
        history: What was done and answered: records, and their lines.
        mishap: What has to be undone at the end, whatever happened: proxies, processes, paused servers.
    """

    def __init__(self, harness: BrokerHarness, domain: str, seed: int) -> None:
        self.harness = harness
        self.domain = domain
        self.rng = random.Random(seed)
        self.lease = harness.lease
        self.profile: Profile  # set by the first broker()
        self.mishap = AsyncExitStack()
        self._brokers: list[Broker] = []
        super().__init__(self.now)

    # -- clients

    async def broker(self) -> Broker:
        """Return one more client of the domain, opened; the engine closes it."""
        return await self.adopt(await self.harness.broker(self.domain))

    async def adopt(self, broker: Broker) -> Broker:
        """Open a broker that the case made otherwise; the engine closes it."""
        self._brokers.append(broker)
        self.profile = await broker.open()
        return broker

    async def session(self, broker: Broker, *queues: QueueName) -> Session:
        """Open a session, by default on the default queue."""
        return await self.open(broker, *(queues or [self.queue()]), lease=self.lease)

    async def close(self) -> None:
        """End all mishap, then close every client."""
        try:
            await self.mishap.aclose()
        finally:
            raised: list[Exception] = []
            for broker in self._brokers:
                try:
                    await broker.close()
                except Exception as error:  # noqa: BLE001 - the others are closed all the same
                    raised.append(error)
        if raised:
            raise Violation(f"close() raised {type(raised[0]).__name__}: {raised[0]}") from raised[0]

    # -- time

    def now(self) -> float:
        """Return the store's time, Unix seconds."""
        offset = self.profile.clock_offset if hasattr(self, "profile") else 0.0
        return self.harness.now() + offset

    @property
    def moment(self) -> float:
        """A short time that the store can tell from none: for what must happen soon."""
        return 5 * self.profile.limits.time_resolution

    async def advance(self, seconds: float) -> None:
        """Let time pass for the store."""
        await self.history.of(self.harness.advance(seconds), partial(Pass, seconds=seconds), lambda _: None)

    # -- publish, fetch, settle

    async def stored(self, broker: Broker, *envelopes: Envelope) -> None:
        """Publish, and demand that all were stored."""
        for batch in self._batches(envelopes):
            for answer in await self.publish(broker, *batch):
                self.expect.is_a(answer, Stored, "an envelope within the limits is Stored")

    async def take(self, session: Session, number: int, *queues: QueueName) -> list[Delivery]:
        """Fetch exactly ``number`` deliveries from the queues, however many calls it takes."""
        taken: list[Delivery] = []
        empty = 0
        while len(taken) < number:
            want = self.want(number - len(taken), *queues)
            # a fetch may come back early and empty; a few in a row mean that nothing is there
            got = await self.fetch(session, want) if empty < 3 else await self.fetch_for_a_moment(session, want)
            taken.extend(got)
            empty = 0 if got else empty + 1
            self.expect.true(empty < 6, f"{number} deliveries were owed, but only {len(taken)} came")
        return taken

    def want(self, most: int, *queues: QueueName) -> Want:
        """Return a wish for ``most`` in all and of each queue, by default of the default queue; fewer if max_batch is less."""
        room = min(most, self.profile.limits.max_batch)
        return Want(room, [(queue, room) for queue in queues or (self.queue(),)])

    async def one(self, session: Session, *queues: QueueName) -> Delivery:
        """Fetch one delivery."""
        return (await self.take(session, 1, *queues))[0]

    async def awaited(self, session: Session, *queues: QueueName) -> Delivery:
        """Wait for one delivery, for as long as it takes: to be started before what should wake it, and put to ``soon``."""
        want = Want(1, [(queue, 1) for queue in queues or (self.queue(),)])
        while not (got := await self.fetch(session, want, wait=FAR)):
            pass  # it may return early and empty
        return got[0]

    async def soon(self, call: Awaitable[T], because: str) -> T:
        """Wait for something that ought to happen at once, and demand that it does."""
        ends = asyncio.timeout(self.harness.soon)
        try:
            async with ends:
                return await call
        except TimeoutError:
            if not ends.expired():
                raise
            raise Violation(f"{because}; nothing came within {self.harness.soon:g} s") from None

    async def nothing(self, session: Session, *queues: QueueName, because: str) -> None:
        """Demand that a fetch of up to 10 comes back empty: at once, and after a moment's wait."""
        want = self.want(10, *queues)
        got = await self.fetch(session, want) or await self.fetch_for_a_moment(session, want)
        self.expect.equal([shown(d) for d in got], [], because)

    async def done(self, session: Session, *batch: Settlement) -> list[Done]:
        """Settle, and demand that all took effect."""
        because = "a delivery that its session holds can be settled"
        answers = [answer for part in self._batches(batch) for answer in await self.settle(session, *part)]
        return [self.expect.is_a(answer, Done, because) for answer in answers]

    async def promote(self, broker: Broker) -> Promotion:
        """Make due what is due, where the broker leaves that to the runtime."""
        if broker.scheduler is None:
            return Promotion(0, None)
        promotion = await broker.scheduler.promote(broker, limit=100, plan=self.plan)
        self.note(f"promote → {promotion}")
        return promotion

    # -- whole moves

    async def running(self, broker: Broker, *envelopes: Envelope) -> tuple[Session, list[Delivery]]:
        """Publish envelopes to the default queue and have a new session take them all."""
        await self.stored(broker, *envelopes)
        session = await self.session(broker)
        return session, await self.take(session, len(envelopes))

    async def lapse(self, session: Session) -> None:
        """Silence a session and let its lease pass."""
        await self.harness.silence(session)
        await self.advance(self.lease * 1.1 + self.moment)

    async def drain(self, session: Session, *queues: QueueName, because: str) -> list[TaskId]:
        """Take and complete all there is; the ids in the order of their hand-over."""
        seen: list[TaskId] = []
        want, empty = self.want(100, *queues), 0
        while empty < 3:  # it may come back early and empty
            got = await self.fetch(session, want)
            empty = 0 if got else empty + 1
            seen.extend(delivery.envelope.id for delivery in got)
            self.expect.true(len(seen) < 100_000, "a queue that is completed comes to an end")
            await self.done(session, *(self.complete(delivery) for delivery in got))
        self.note(f"{session.id} drained {[short(i) for i in seen]} ({because})")
        return seen

    def in_order(self, got: Sequence[str], want: Sequence[str], because: str) -> None:
        """Demand these ids in this order where Cap.ORDERED_QUEUE is claimed, else in any."""
        if self.claims(Cap.ORDERED_QUEUE):
            self.expect.equal(list(got), list(want), because)
        else:
            self.expect.same(got, want, because)

    def needs_repeats(self) -> None:
        """End the case where a repeated publish or settle is not told from a new one."""
        limits = self.profile.limits
        if not limits.publish_window or not limits.settle_window:
            raise NotApplicable("publish_window or settle_window is 0: this broker's callers must not repeat")

    def needs_sweeps(self) -> None:
        """End the case where the server reaps by itself."""
        if self.profile.server_reaps:
            raise NotApplicable("server_reaps: a sweep of this broker finds nothing to do")

    def expirer(self, own: Broker, other: Broker) -> Broker:
        """Return who can end a session that ``own`` has opened: anybody, but where the server reaps by itself."""
        return own if self.profile.server_reaps else other

    def claims(self, *caps: Cap) -> bool:
        """Whether the broker claims all of these."""
        return self.profile.capabilities.issuperset(caps)

    def fail(self, because: str) -> Violation:
        """Return what to raise when something is wrong that no check puts well."""
        return Violation(because)

    async def nothing_now(self, session: Session, *queues: QueueName, because: str) -> None:
        """Demand that a fetch comes back empty at once: enough where what must not be there would be ahead of it."""
        got = await self.fetch(session, self.want(10, *queues))
        self.expect.equal([shown(d) for d in got], [], because)

    def _batches(self, items: Sequence[T]) -> list[Sequence[T]]:
        most = self.profile.limits.max_batch
        return [items[at : at + most] for at in range(0, len(items), most)]

    async def fetch_for_a_moment(self, session: Session, want: Want) -> list[Delivery]:
        """Fetch, waiting for a moment while that moment passes for the store."""
        async with asyncio.TaskGroup() as group:
            waiting = group.create_task(self.fetch(session, want, wait=self.moment))
            await self.harness.advance(self.moment)
            return await waiting
