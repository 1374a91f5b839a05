"""What a case may use."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Sequence
from contextlib import AsyncExitStack
from typing import TypeVar, cast

import attrs

from orcastra_conformance.engine.expect import Expect, NotApplicable, Violation
from orcastra_conformance.engine.harness import BrokerHarness
from orcastra_conformance.engine.making import Making
from orcastra_core.interfaces.broker import Broker
from orcastra_core.interfaces.session import Session
from orcastra_core.model.delivery import Delivery, Want
from orcastra_core.model.envelope import Envelope
from orcastra_core.model.ids import TaskId
from orcastra_core.model.names import QueueName
from orcastra_core.model.profile import Cap, Profile
from orcastra_core.model.published import Published, Stored
from orcastra_core.model.schedule import Promotion
from orcastra_core.model.settlement import Done, Settled, Settlement

T = TypeVar("T")

FAR = 3600.0
"""Seconds that never pass during a case unless it moves the clock: for what must not happen yet."""


class Trial(Making):
    """One run of one case: clients of a fresh domain, time, and checks.

    Everything done through it is kept in ``history`` for the report.

    Attributes:
        expect: The checks.
        rng: The only source of chance.
        profile: What the broker said at ``open``.
        history: What was done and answered, in words.
        mishap: What has to be undone at the end, whatever happened: proxies, processes, paused servers.
    """

    def __init__(self, harness: BrokerHarness, domain: str, seed: int) -> None:
        self.harness = harness
        self.domain = domain
        self.expect = Expect()
        self.rng = random.Random(seed)
        self.history: list[str] = []
        self.lease = harness.lease
        self.profile: Profile  # set by the first broker()
        self.mishap = AsyncExitStack()
        self._brokers: list[Broker] = []
        self._numbers: dict[str, int] = {}
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
        session = await broker.open_session(queues or [self.queue()], lease=self.lease)
        self.note(f"{session.id} opened")
        return session

    async def close(self) -> None:
        """End all mishap, then close every client."""
        try:
            await self.mishap.aclose()
        finally:
            for broker in self._brokers:
                await broker.close()

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
        self.note(f"{seconds:g} s pass")
        await self.harness.advance(seconds)

    # -- publish, fetch, settle

    async def publish(self, broker: Broker, *envelopes: Envelope, events: Sequence[bytes] = ()) -> Sequence[Published]:
        """Publish; the answers, which must be as many."""
        answers = await broker.publish(list(envelopes), events=events)
        self.note(f"publish {[short(e.id) for e in envelopes]} → {[_named(a) for a in answers]}")
        self.expect.equal(len(answers), len(envelopes), "publish gives one answer an envelope")
        return answers

    async def stored(self, broker: Broker, *envelopes: Envelope) -> None:
        """Publish, and demand that all were stored."""
        for answer in await self.publish(broker, *envelopes):
            self.expect.is_a(answer, Stored, "an envelope within the limits is Stored")

    async def take(self, session: Session, number: int, *queues: QueueName) -> list[Delivery]:
        """Fetch exactly ``number`` deliveries from the queues, however many calls it takes."""
        taken: list[Delivery] = []
        wanted = queues or (self.queue(),)
        empty = 0
        while len(taken) < number:
            room = number - len(taken)
            want = Want(room, [(queue, room) for queue in wanted])
            # a fetch may come back early and empty; a few in a row mean that nothing is there
            got = await session.fetch(want, wait=0) if empty < 3 else await self._fetch_for_a_moment(session, want)
            self.note(f"{session.id} fetch {room} → {[shown(d) for d in got]}")
            self.expect.true(len(got) <= room, f"fetch returns at most the {room} it was asked for")
            taken.extend(got)
            empty = 0 if got else empty + 1
            self.expect.true(empty < 6, f"{number} deliveries were owed, but only {len(taken)} came")
        return taken

    async def one(self, session: Session, *queues: QueueName) -> Delivery:
        """Fetch one delivery."""
        return (await self.take(session, 1, *queues))[0]

    async def awaited(self, session: Session, *queues: QueueName) -> Delivery:
        """Wait for one delivery, for as long as it takes: to be started before what should wake it, and put to ``soon``."""
        want = Want(1, [(queue, 1) for queue in queues or (self.queue(),)])
        while not (got := await session.fetch(want, wait=FAR)):
            pass  # it may return early and empty
        self.note(f"{session.id} waiting fetch → {[shown(d) for d in got]}")
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
        want = Want(10, [(queue, 10) for queue in queues or (self.queue(),)])
        got = list(await session.fetch(want, wait=0))
        if not got:
            got = await self._fetch_for_a_moment(session, want)
        self.note(f"{session.id} fetch → {[shown(d) for d in got]}")
        self.expect.equal([shown(d) for d in got], [], because)

    async def settle(self, session: Session, *batch: Settlement, number: int | None = None) -> Sequence[Settled]:
        """Settle under the session's next number, or the one given."""
        if number is None:
            number = self._numbers[session.id] = self._numbers.get(session.id, 0) + 1
        answers = await session.settle(list(batch), number=number)
        kinds = [f"{type(item).__name__} {shown(item.delivery)}" for item in batch]
        self.note(f"{session.id} settle #{number} {kinds} → {[_named(a) for a in answers]}")
        self.expect.equal(len(answers), len(batch), "settle gives one answer a settlement")
        return answers

    async def done(self, session: Session, *batch: Settlement) -> list[Done]:
        """Settle, and demand that all took effect."""
        because = "a delivery that its session holds can be settled"
        return [self.expect.is_a(answer, Done, because) for answer in await self.settle(session, *batch)]

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
        want = Want(100, [(queue, 100) for queue in queues or (self.queue(),)])
        while got := await session.fetch(want, wait=0):
            seen.extend(delivery.envelope.id for delivery in got)
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

    def claims(self, *caps: Cap) -> bool:
        """Whether the broker claims all of these."""
        return self.profile.capabilities.issuperset(caps)

    def fail(self, because: str) -> Violation:
        """Return what to raise when something is wrong that no check puts well."""
        return Violation(because)

    async def nothing_now(self, session: Session, *queues: QueueName, because: str) -> None:
        """Demand that a fetch comes back empty at once: enough where what must not be there would be ahead of it."""
        got = await session.fetch(Want(10, [(queue, 10) for queue in queues or (self.queue(),)]), wait=0)
        self.expect.equal([shown(d) for d in got], [], because)

    async def _fetch_for_a_moment(self, session: Session, want: Want) -> list[Delivery]:
        async with asyncio.TaskGroup() as group:
            waiting = group.create_task(session.fetch(want, wait=self.moment))
            await self.harness.advance(self.moment)
            return list(await waiting)

    def note(self, text: str) -> None:
        """Add a line to the history."""
        self.history.append(text)


def short(task_id: str) -> str:
    """Return the end of an id: enough to tell tasks of one case apart."""
    return task_id[-6:]


def shown(delivery: Delivery) -> str:
    """Return a delivery in words."""
    counts = delivery.counts
    return f"{short(delivery.envelope.id)}({counts.attempt}/{counts.lost}/{counts.released})"


def _named(answer: object) -> str:
    fields = attrs.asdict(cast("attrs.AttrsInstance", answer), recurse=False) if attrs.has(type(answer)) else {}
    inside = ", ".join(f"{value!r}"[:80] for value in fields.values() if value != ())
    return f"{type(answer).__name__}({inside})" if fields else str(answer)
