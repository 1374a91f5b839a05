"""Odd ways of handing out."""

from __future__ import annotations

import random
from collections.abc import Sequence
from weakref import WeakKeyDictionary

import attrs
import pytest

from orcastra_conformance import BrokerHarness
from orcastra_core.backends.memory import handover
from orcastra_core.backends.memory.conformance import Harness
from orcastra_core.backends.memory.entry import READY
from orcastra_core.backends.memory.session import MemorySession
from orcastra_core.backends.memory.session_state import SessionState
from orcastra_core.backends.memory.store import Store
from orcastra_core.model.delivery import Delivery, Receipt, Want
from orcastra_core.model.settlement import Settled, Settlement
from power import reaping_server
from power.eccentric import eccentric


@eccentric(
    "unordered",
    "hands out what is ready in any order",
    allowed_by="publish order within a priority (to the letter only where Cap.ORDERED_QUEUE is claimed)",
)
def _(patch: pytest.MonkeyPatch) -> BrokerHarness:
    take, chance = handover.take, random.Random(0)

    def any_order(store: Store, session: SessionState, want: Want) -> list[Delivery]:
        for name, _ in want.queues:
            for level in store.queue(name).order:
                ready = [entry for entry in level if entry.state == READY]
                gone = [entry for entry in level if entry.state != READY]
                chance.shuffle(ready)
                level.clear()
                level.extend([*ready, *gone])
        return take(store, session, want)

    patch.setattr(handover, "take", any_order)
    return Harness(without="ORDERED_QUEUE")


@eccentric(
    "hesitant",
    "hands out two at a time at most, and every third time nothing",
    allowed_by="At most want.limit in all … May return early and empty.",
)
def _(patch: pytest.MonkeyPatch) -> None:
    fetch = MemorySession.fetch
    calls: WeakKeyDictionary[MemorySession, int] = WeakKeyDictionary()

    async def hesitating(self: MemorySession, want: Want, /, *, wait: float) -> Sequence[Delivery]:
        calls[self] = calls.get(self, 0) + 1
        if calls[self] % 3 == 0:
            self._check_open()
            return await fetch(self, Want(0, want.queues), wait=0)
        return await fetch(self, Want(min(want.limit, 2), want.queues), wait=wait)

    patch.setattr(MemorySession, "fetch", hesitating)


@eccentric(
    "long-winded",
    "gives receipts of four kilobytes and sessions' ids that are no identifiers",
    allowed_by="Proof of one hand-over within its session: opaque, hashable, unique in the session.",
)
def _(patch: pytest.MonkeyPatch) -> None:
    fetch, settle, held = MemorySession.fetch, MemorySession.settle, MemorySession.held
    disown, name = MemorySession.disown, Store.name
    padding = bytes(range(256)) * 16

    def long(receipt: Receipt) -> bytes:
        return padding + str(receipt).encode()

    def plain(receipt: Receipt) -> Receipt:
        known = isinstance(receipt, bytes) and receipt.startswith(padding)
        return int(receipt[len(padding) :]) if known and isinstance(receipt, bytes) else repr(receipt)

    async def fetched(self: MemorySession, want: Want, /, *, wait: float) -> Sequence[Delivery]:
        return [attrs.evolve(d, receipt=long(d.receipt)) for d in await fetch(self, want, wait=wait)]

    async def settled(self: MemorySession, batch: Sequence[Settlement], /, *, number: int) -> Sequence[Settled]:
        items = [
            attrs.evolve(item, delivery=attrs.evolve(item.delivery, receipt=plain(item.delivery.receipt)))
            for item in batch
        ]
        return await settle(self, items, number=number)

    async def holding(self: MemorySession) -> Sequence[Receipt]:
        return [long(receipt) for receipt in await held(self)]

    patch.setattr(MemorySession, "fetch", fetched)
    patch.setattr(MemorySession, "settle", settled)
    patch.setattr(MemorySession, "held", holding)
    patch.setattr(MemorySession, "disown", lambda self, receipts: disown(self, [plain(r) for r in receipts]))
    patch.setattr(Store, "name", lambda self, kind: f"«{name(self, kind)}» № 1/2 {{ü}} % '\"")


@eccentric(
    "served-by-a-reaper",
    "reaps dead sessions by itself, when somebody fetches",
    allowed_by="Where the server does all that by itself (Profile.server_reaps) a sweep is empty.",
)
def _(patch: pytest.MonkeyPatch) -> BrokerHarness:
    return reaping_server.install(patch)
