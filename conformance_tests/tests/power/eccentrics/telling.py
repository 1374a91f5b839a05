"""Odd ways of telling."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from orcastra_conformance import BrokerHarness
from orcastra_core.backends.memory import handover, settling
from orcastra_core.backends.memory.broker import MemoryBroker
from orcastra_core.backends.memory.conformance import Harness
from orcastra_core.backends.memory.entry import READY, Entry
from orcastra_core.backends.memory.event_list import EventList
from orcastra_core.backends.memory.feed_state import FeedState
from orcastra_core.backends.memory.session_state import SessionState
from orcastra_core.backends.memory.store import Store
from orcastra_core.model.names import QueueName
from orcastra_core.model.queue import QueueDepth, QueueSpec
from orcastra_core.model.result import Result
from orcastra_core.model.session import DueSoon, Signal
from orcastra_core.model.settlement import Settled, Settlement
from power.eccentric import eccentric


@eccentric(
    "taciturn",
    "finds, counts, pauses and purges nothing, and cannot tell why there is no result",
    allowed_by="A store without Cap.LOOKUP cannot tell and says PENDING.",
)
def _(patch: pytest.MonkeyPatch) -> BrokerHarness:
    return Harness(without="LOOKUP,INSPECT,PAUSE,PURGE")


@eccentric(
    "talkative",
    "tells its sessions again and again to look when something is due",
    allowed_by="DueSoon: Something was deferred or rescheduled: ask promote when it is next due.",
)
def _(patch: pytest.MonkeyPatch) -> None:
    take = SessionState.take_signals

    def reminded(self: SessionState) -> list[Signal]:
        told = take(self)
        return told if self.fenced or not told or DueSoon() in told else [DueSoon(), *told]

    patch.setattr(SessionState, "take_signals", reminded)


@eccentric(
    "one-by-one",
    "hands over pushed results singly",
    allowed_by="next: Return results pushed since the last call, waiting up to `wait` seconds for the first.",
)
def _(patch: pytest.MonkeyPatch) -> None:
    def single(self: FeedState) -> list[Result]:
        return [self.buffer.popleft()] if self.buffer else []

    patch.setattr(FeedState, "take", single)


@eccentric(
    "short-memory",
    "keeps the last hundred pieces of its event log",
    allowed_by="trim: Drop the oldest entries but about `keep`",
)
def _(patch: pytest.MonkeyPatch) -> None:
    begin = EventList.__init__

    def short(self: EventList, bound: int) -> None:
        begin(self, min(bound, 100))

    patch.setattr(EventList, "__init__", short)


@eccentric(
    "makes-queues-as-needed",
    "has nothing to declare, and knows of no queue that is empty",
    allowed_by="Publishing to, or fetching from, a queue that was never declared creates it with defaults.",
)
def _(patch: pytest.MonkeyPatch) -> None:
    inspect = MemoryBroker.inspect

    async def declare(self: MemoryBroker, queues: Sequence[QueueSpec], /) -> None:
        self._gate.check()

    async def inspected(self: MemoryBroker, queues: Sequence[QueueName] | None = None, /) -> Sequence[QueueDepth]:
        found = await inspect(self, queues)
        return found if queues is not None else [d for d in found if d != QueueDepth(queue=d.queue)]

    patch.setattr(MemoryBroker, "declare", declare)
    patch.setattr(MemoryBroker, "inspect", inspected)


@eccentric(
    "lenient",
    "lets a session that was reaped settle what nobody has taken since",
    allowed_by="FENCED: late settlements are refused. An optional capability.",
)
def _(patch: pytest.MonkeyPatch) -> BrokerHarness:
    reap, settle = handover.reap, settling.settle
    estate: dict[tuple[str, object], Entry] = {}

    def noted(store: Store, session: SessionState) -> None:
        estate.update(((session.id, receipt), entry) for receipt, entry in session.held.items())
        reap(store, session)

    def heard(store: Store, session: SessionState, batch: Sequence[Settlement], number: int) -> Sequence[Settled]:
        if not session.fenced:
            return settle(store, session, batch, number)
        for item in batch:
            entry = estate.pop((session.id, item.delivery.receipt), None)
            if entry is not None and entry.state == READY:
                store.remove_waiting(entry)
                session.held[item.delivery.receipt] = entry
        session.fenced = False
        try:
            return settle(store, session, batch, session.last_number + 1)
        finally:
            session.fenced = True

    patch.setattr(handover, "reap", noted)
    patch.setattr(settling, "settle", heard)
    return Harness(without="FENCED,STABLE_SESSION")
