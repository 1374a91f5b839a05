"""Clients at random, all at once: they publish, fetch, settle, give calls up, die and come back; the checkers judge."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Sequence
from typing import Any, TypeVar

import attrs

from orcastra_conformance.engine.expect import Violation
from orcastra_conformance.engine.steps import Cut, cancelled_after, turns
from orcastra_conformance.engine.trial import Trial
from orcastra_conformance.history.checkers import judged
from orcastra_conformance.history.index import Lives
from orcastra_conformance.history.log import History
from orcastra_conformance.history.telling import short
from orcastra_conformance.modelling.kinds import QUEUES
from orcastra_core.interfaces.broker import Broker
from orcastra_core.interfaces.results import ResultFeed
from orcastra_core.interfaces.session import Session
from orcastra_core.model.delivery import Delivery, Want
from orcastra_core.model.envelope import Envelope
from orcastra_core.model.errors import SessionFenced
from orcastra_core.model.profile import Cap
from orcastra_core.model.settlement import Settlement

T = TypeVar("T")

_CLIENTS = 3
_WORKERS = 6
_ROUNDS = 40
_MOST_FINDINGS = 5
_LONGEST = 400
"""Characters of a line of the history."""
_SPURIOUS = 2
"""A fetch may come back early and empty: so often, and nothing is left."""


@attrs.define(eq=False)
class Worker:
    """One of the crowd.

    Attributes:
        broker: Its client.
        session: None when it has none.
        holds: What it has not settled.
        number: Of its last batch of settlements.
    """

    broker: Broker
    session: Session | None = None
    holds: list[Delivery] = attrs.Factory(list)
    number: int = 0


class Crowd:
    """Workers of a few clients, and what they do."""

    def __init__(self, t: Trial) -> None:
        self._t = t
        self._rng = t.rng
        self._workers: list[Worker] = []
        self._feed: ResultFeed | None = None
        self._repeats = bool(t.profile.limits.publish_window and t.profile.limits.settle_window)

    async def run(self) -> None:
        """Let them work, drain what is left, and judge. Raises Violation with what the checkers found."""
        t = self._t
        brokers = [await t.broker() for _ in range(_CLIENTS)]
        if brokers[0].results is not None:
            self._feed = await brokers[0].results.subscribe()
        self._workers = [Worker(brokers[at % _CLIENTS]) for at in range(_WORKERS)]
        async with asyncio.TaskGroup() as group:
            for worker in self._workers:
                group.create_task(self._work(worker))
        for worker in self._workers:
            if worker.session is not None:
                await self._end(worker)
        await self._drain(brokers[-1])
        found = judged(t.history.records, t.profile.capabilities)
        if found:
            raise _told(found, t.history)

    async def _work(self, worker: Worker) -> None:
        for _ in range(_ROUNDS):
            await turns(self._rng.randrange(3))
            chance = self._rng.random()
            if worker.session is None:
                worker.session = await self._t.session(worker.broker, *QUEUES)
                worker.holds, worker.number = [], 0
            elif chance < 0.25:
                await self._publish(worker)
            elif chance < 0.55 or (chance < 0.85 and not worker.holds):
                await self._fetch(worker, worker.session)
            elif chance < 0.85:
                await self._settle(worker, worker.session)
            elif chance < 0.95:
                await self._kill()
            else:
                await self._end(worker)

    # -- what they do

    async def _publish(self, worker: Worker) -> None:
        batch = [self._made() for _ in range(self._rng.randint(1, 4))]
        cut = await self._tried(self._t.publish(worker.broker, *batch))
        if not cut.finished and self._repeats:
            await self._t.publish(worker.broker, *batch)

    async def _fetch(self, worker: Worker, session: Session) -> None:
        limit = self._rng.randint(1, 5)
        queues = self._rng.sample(QUEUES, 2)
        want = Want(limit, [(queue, limit) for queue in queues])
        cut = await self._tried(self._fetched(session, want))
        if cut.finished and cut.value is None:
            worker.session = None
        worker.holds += cut.value or []

    async def _settle(self, worker: Worker, session: Session) -> None:
        self._rng.shuffle(worker.holds)
        number = min(self._rng.randint(1, len(worker.holds)), self._t.profile.limits.max_batch)
        chosen, worker.holds = worker.holds[:number], worker.holds[number:]
        batch = [self._settlement(delivery) for delivery in chosen]
        worker.number += 1
        cut = await self._tried(self._t.settle(session, *batch, number=worker.number))
        if not cut.finished and self._repeats:
            await self._t.settle(session, *batch, number=worker.number)

    async def _kill(self) -> None:
        """Reap somebody's session, as if it had died; it goes on and finds out."""
        if self._t.claims(Cap.FENCED):
            victim, judge = self._rng.choice(self._workers), self._rng.choice(self._workers)
            if victim.session is not None:
                await self._t.expire(judge.broker, victim.session.id)

    async def _end(self, worker: Worker) -> None:
        session, worker.session = worker.session, None
        if session is not None:
            await self._t.leave(session)

    async def _drain(self, broker: Broker) -> None:
        t = self._t
        session = await t.session(broker, *QUEUES)
        want = t.want(50, *QUEUES)
        empty = 0
        while empty < _SPURIOUS:
            got = await t.fetch(session, want) or await t.fetch_for_a_moment(session, want)
            empty = 0 if got else empty + 1
            if got:
                await t.settle(session, *(t.complete(delivery, b"\x02") for delivery in got))
        if broker.results is not None and self._feed is not None:
            sent = sorted({e.id for record in t.history.records for e in getattr(record, "envelopes", ())})
            await t.results(broker.results, *sent)
            await t.pushed(self._feed)
            await self._feed.close()

    # -- with what

    def _made(self) -> Envelope:
        fields: dict[str, Any] = {"queue": self._rng.choice(QUEUES)}
        if self._feed is not None:
            fields["reply"] = self._feed.channel
        if self._t.claims(Cap.ORDERED_KEY) and self._rng.random() < 0.3:
            fields["order_by"] = self._rng.choice("op")
        if self._t.claims(Cap.PRIORITY) and self._rng.random() < 0.2:
            fields["priority"] = self._t.profile.limits.priorities[1]
        return self._t.envelope(**fields)

    def _settlement(self, delivery: Delivery) -> Settlement:
        chance = self._rng.random()
        value = self._rng.randbytes(2)
        if chance < 0.5:
            return self._t.complete(delivery, value)
        if chance < 0.6:
            return self._t.complete(delivery, value, emit=[self._made()])
        if chance < 0.8:
            return self._t.retry(delivery)
        return self._t.release(delivery) if chance < 0.9 else self._t.dead(delivery)

    async def _fetched(self, session: Session, want: Want) -> list[Delivery] | None:
        """Fetch; None if the session was reaped."""
        try:
            return await self._t.fetch(session, want)
        except SessionFenced:
            return None

    async def _tried(self, call: Coroutine[Any, Any, T]) -> Cut[T]:
        """Await a call, or give it up after a few steps."""
        if self._rng.random() < 0.7:
            return Cut(True, await call)
        return await cancelled_after(self._rng.randrange(6), call)


def _told(found: Sequence[str], history: History) -> Violation:
    """Return the findings, with all that is known of the task in the first and of the sessions that held it."""
    name = found[0].partition(" ")[0].partition("(")[0]
    held = [hold.session for hold in Lives(history.records).holds if short(hold.id) == name]
    ends = [f"expire {session} " for session in held] + [f"{session} leave" for session in held]
    lines = [*found[:_MOST_FINDINGS]]
    if len(found) > _MOST_FINDINGS:
        lines.append(f"… and {len(found) - _MOST_FINDINGS} more")
    lines.append(f"  what is known of {name}:")
    lines += [f"  {line[:_LONGEST]}" for line in history if any(word in line for word in (name, *ends))]
    return Violation("\n".join(lines))
