"""A settle cut at every write of it: together, or not at all."""

from __future__ import annotations

import asyncio
import itertools

from orcastra_conformance.engine.case import case
from orcastra_conformance.engine.expect import Violation
from orcastra_conformance.engine.tiers import Tier
from orcastra_conformance.engine.trial import Trial
from orcastra_conformance.faults.patience import BUDGET, CUTS, mark, tried, went_by
from orcastra_conformance.faults.patient import Patient
from orcastra_conformance.faults.proxy import proxied
from orcastra_conformance.faults.valve import Way
from orcastra_core.interfaces.broker import Broker
from orcastra_core.interfaces.session import Session
from orcastra_core.model.delivery import Delivery, Want
from orcastra_core.model.envelope import Envelope
from orcastra_core.model.event import EventKind
from orcastra_core.model.profile import Cap
from orcastra_core.model.result import Result
from orcastra_core.model.settlement import Done, Settlement


class _Effects:
    """What can be seen of one settlement, from a connection that nothing befalls."""

    def __init__(self, t: Trial, direct: Broker, reader: Session, holder: Session) -> None:
        self._t = t
        self._direct = direct
        self._reader = reader
        self._holder = holder
        self._cursor: str | None = None
        self._events = 0
        self._emitted: list[str] = []

    async def seen(self, delivery: Delivery, follow_up: Envelope) -> dict[str, bool]:
        """Look at each effect, one after another."""
        t, seen = self._t, dict[str, bool]()
        # the acknowledgement last: it is the first that a careless order makes visible
        emitted = await self._reader.fetch(Want(5, [(t.queue("next"), 5)]), wait=0)
        self._emitted += [one.envelope.id for one in emitted]
        seen["emitted envelope"] = follow_up.id in self._emitted
        if self._direct.results is not None:
            (result,) = await self._direct.results.get([delivery.envelope.id])
            seen["result"] = isinstance(result, Result)
        if self._direct.events is not None:
            for entry in await self._direct.events.read(after=self._cursor):
                self._cursor = entry.cursor
                self._events += entry.event.task_id == delivery.envelope.id
            seen["event"] = self._events > 0
        seen["acknowledgement"] = delivery.receipt not in await self._holder.held()
        return seen

    async def together(self, delivery: Delivery, follow_up: Envelope) -> bool:
        """Demand all or none, as soon as what was on its way has arrived; return which."""
        loop = asyncio.get_running_loop()
        ends: float | None = None  # from the first whole look on, which may need a connection first
        # each look takes round trips: a step that is under way gets done meanwhile
        while len(set((seen := await self.seen(delivery, follow_up)).values())) > 1:
            ends = ends or loop.time() + 5 * self._t.moment
            if loop.time() > ends:
                raise Violation(
                    f"a settlement, its result, events and emitted envelopes appear together or not at all\n  got:  {seen}"
                )
        self._t.note(f"seen: {seen}")
        return all(seen.values())

    def once(self, follow_up: Envelope) -> None:
        """Demand that nothing was there twice, and forget it."""
        expect = self._t.expect
        expect.equal(self._emitted, [follow_up.id], "the follow-up was published once")
        expect.true(self._events <= 1, "the event was appended once")
        self._events, self._emitted = 0, []


@case(
    "set.atomic-cut",
    needs=[Cap.ATOMIC_SETTLE, Cap.STABLE_SESSION, Cap.FENCED],
    tier=Tier.TRANSACTIONAL,
    budget=BUDGET,
    why="the connection cut at every write of a settle: the delivery's end, its result, its events and its emit"
    " appear together or not at all; the repeat finds out which",
    hint="one transaction, one script, or one request; never a result first and an acknowledgement after it",
)
async def _(t: Trial) -> None:
    direct = await t.broker()
    broker, proxy = await proxied(t)
    session, reader = await t.session(broker), await t.session(direct, t.queue("next"))
    patient = Patient(t, session)
    effects, numbers = _Effects(t, direct, reader, patient), itertools.count(1)
    for at, part in CUTS:
        await t.stored(direct, *t.envelopes(1))
        delivery = await t.one(patient)
        follow_up, value, number = t.envelope("next"), mark(t), next(numbers)
        event = t.event(EventKind.COMPLETED, delivery.envelope.id)
        batch: list[Settlement] = [t.complete(delivery, value, emit=[follow_up], events=event)]
        trap = proxy.trap(value, Way.UP, at=at, part=part)
        first = await tried(t, t.settle(session, *batch, number=number), "settle")
        went_by(t, trap)
        proxy.heal()
        done = await effects.together(delivery, follow_up)
        t.expect.true(done or first is None, "what was answered Done has taken effect")
        if t.profile.limits.settle_window or not done:
            (answer,) = await t.settle(patient, *batch, number=number)
            t.expect.is_a(answer, Done, "the repeat under the same number is Done: now, or since the first call")
        t.expect.true(await effects.together(delivery, follow_up), "after the repeat everything is there")
        effects.once(follow_up)
        if not trap.sprung.is_set():
            return
