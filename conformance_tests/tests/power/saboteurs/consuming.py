"""Faults in handing out."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Sequence
from weakref import WeakKeyDictionary

import attrs
import pytest

from orcastra_conformance.engine.steps import turns
from orcastra_core.backends.memory import broker, handover
from orcastra_core.backends.memory.broker import MemoryBroker
from orcastra_core.backends.memory.entry import READY, RUNNING, Entry, Queue
from orcastra_core.backends.memory.session import MemorySession
from orcastra_core.backends.memory.session_state import SessionState
from orcastra_core.backends.memory.settings import Settings
from orcastra_core.backends.memory.store import Store
from orcastra_core.interfaces.clock import Clock
from orcastra_core.interfaces.session import Session
from orcastra_core.model.delivery import Delivery, Receipt, Want
from orcastra_core.model.envelope import Unreadable
from orcastra_core.model.errors import BrokerTimeout
from orcastra_core.model.names import DomainName, QueueName
from power.saboteur import saboteur
from power.spoiling import nothing, unheard


@saboteur("one-too-many", "hands out one more delivery than was asked for", killed_by=("con.demand",))
def _(patch: pytest.MonkeyPatch) -> None:
    fetch = MemorySession.fetch

    async def greedy(self: MemorySession, want: Want, /, *, wait: float) -> Sequence[Delivery]:
        more = Want(want.limit + 1, [(queue, number + 1) for queue, number in want.queues])
        return await fetch(self, more, wait=wait)

    patch.setattr(MemorySession, "fetch", greedy)


@saboteur("ignores-precedence", "looks into the queues in an order of its own", killed_by=("con.demand",))
def _(patch: pytest.MonkeyPatch) -> None:
    fetch = MemorySession.fetch

    async def sorting(self: MemorySession, want: Want, /, *, wait: float) -> Sequence[Delivery]:
        return await fetch(self, Want(want.limit, sorted(want.queues)), wait=wait)

    patch.setattr(MemorySession, "fetch", sorting)


@saboteur("waits-for-ever-at-zero", "takes wait=0 for no limit, as BLOCK 0 does", killed_by=("con.empty-wait",))
def _(patch: pytest.MonkeyPatch) -> None:
    fetch = MemorySession.fetch

    async def blocking(self: MemorySession, want: Want, /, *, wait: float) -> Sequence[Delivery]:
        return await fetch(self, want, wait=wait or math.inf)

    patch.setattr(MemorySession, "fetch", blocking)


@saboteur("raises-when-empty", "raises its client's timeout when nothing came", killed_by=("con.empty-wait",))
def _(patch: pytest.MonkeyPatch) -> None:
    fetch = MemorySession.fetch

    async def impatient(self: MemorySession, want: Want, /, *, wait: float) -> Sequence[Delivery]:
        taken = await fetch(self, want, wait=wait)
        if not taken:
            raise BrokerTimeout("nothing came")
        return taken

    patch.setattr(MemorySession, "fetch", impatient)


@saboteur("sleeps-it-out", "looks again only when the whole wait is over", killed_by=("con.wakes",))
def _(patch: pytest.MonkeyPatch) -> None:
    fetch = MemorySession.fetch

    async def sleepy(self: MemorySession, want: Want, /, *, wait: float) -> Sequence[Delivery]:
        taken = await fetch(self, want, wait=0)
        if not taken and wait:
            await self._store.clock.sleep(wait)
            taken = await fetch(self, want, wait=0)
        return taken

    patch.setattr(MemorySession, "fetch", sleepy)


@saboteur(
    "wakes-nobody",
    "has no push: whoever waits sees nothing of what comes",
    killed_by=("con.wakes", "con.wakes-each", "pause.resume-wakes", "set.emit-wakes", "dead.replay-wakes"),
)
def _(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Queue, "wake", nothing)


@saboteur("one-bell-for-a-batch", "wakes one session, however much has come", killed_by=("con.wakes-each",))
def _(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(handover, "take", unheard(handover.take))


@saboteur("keeps-the-wake-up", "a cancelled fetch takes its wake-up with it", killed_by=("con.cancelled-wait",))
def _(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(handover, "pass_on", nothing)


@saboteur("swallows-cancellation", "ends a cancelled fetch as if nothing had come", killed_by=("con.cancelled-wait",))
def _(patch: pytest.MonkeyPatch) -> None:
    fetch = MemorySession.fetch

    async def deaf(self: MemorySession, want: Want, /, *, wait: float) -> Sequence[Delivery]:
        try:
            return await fetch(self, want, wait=wait)
        except asyncio.CancelledError:
            return []

    patch.setattr(MemorySession, "fetch", deaf)


@saboteur(
    "group-starts-at-the-end",
    "creates a queue's readers with its first session, behind what is there already",
    killed_by=("con.before-first-consumer", "pub.roundtrip"),
)
def _(patch: pytest.MonkeyPatch) -> None:
    open_session = MemoryBroker.open_session
    read: set[Queue] = set()

    async def late(self: MemoryBroker, queues: Sequence[QueueName], /, *, lease: float) -> Session:
        for queue in map(self._store.queue, queues):
            if queue not in read:
                read.add(queue)
                for level in queue.order:
                    level.clear()
        return await open_session(self, queues, lease=lease)

    patch.setattr(MemoryBroker, "open_session", late)


@saboteur(
    "looks-then-takes",
    "chooses what is ready, and takes it in a second step without looking again",
    killed_by=("con.competing",),
)
def _(patch: pytest.MonkeyPatch) -> None:
    fetch = MemorySession.fetch

    def ready(store: Store, want: Want) -> list[Entry]:
        levels = (level for name, _ in want.queues for level in store.queue(name).order)
        return [entry for level in levels for entry in level if entry.state == READY][: want.limit]

    async def racing(self: MemorySession, want: Want, /, *, wait: float) -> Sequence[Delivery]:
        chosen = ready(self._store, want)
        await turns(1)
        for entry in chosen:
            if entry.state == RUNNING:  # another one was faster: it is handed out all the same
                entry.state = READY
                entry.level.appendleft(entry)
        return await fetch(self, want, wait=0 if chosen else wait)

    patch.setattr(MemorySession, "fetch", racing)


def _rename(patch: pytest.MonkeyPatch, rename: Callable[[str], str]) -> None:
    queue = Store.queue
    patch.setattr(Store, "queue", lambda self, name: queue(self, QueueName(rename(name))))


@saboteur("folds-case", "keeps queues whose names differ in case as one", killed_by=("con.queue-isolation",))
def _(patch: pytest.MonkeyPatch) -> None:
    _rename(patch, str.casefold)


@saboteur("cuts-names", "ends a queue's name at a colon", killed_by=("con.queue-isolation",))
def _(patch: pytest.MonkeyPatch) -> None:
    _rename(patch, lambda name: name.partition(":")[0])


@saboteur("one-domain", "keeps all domains in one place", killed_by=("con.domain-isolation",))
def _(patch: pytest.MonkeyPatch) -> None:
    store_for = broker._store_for

    def shared(settings: Settings, domain: DomainName, clock: Clock) -> Store:
        return store_for(settings, DomainName("all"), clock)

    patch.setattr(broker, "_store_for", shared)


@saboteur(
    "prefetches",
    "takes over more than was asked for, and keeps it for the next fetch",
    killed_by=("con.no-hidden-buffer",),
)
def _(patch: pytest.MonkeyPatch) -> None:
    fetch = MemorySession.fetch
    kept: WeakKeyDictionary[MemorySession, list[Delivery]] = WeakKeyDictionary()

    async def ahead(self: MemorySession, want: Want, /, *, wait: float) -> Sequence[Delivery]:
        buffer = kept.setdefault(self, [])
        if not buffer:
            buffer += await fetch(self, Want(want.limit + 10, [(queue, n + 10) for queue, n in want.queues]), wait=wait)
        taken = buffer[: want.limit]
        del buffer[: want.limit]
        return taken

    patch.setattr(MemorySession, "fetch", ahead)


@saboteur(
    "loses-a-cancelled-fetch",
    "forgets what a fetch had taken over when it was cancelled",
    killed_by=("con.cancelled-fetch",),
)
def _(patch: pytest.MonkeyPatch) -> None:
    fetch = MemorySession.fetch

    async def lossy(self: MemorySession, want: Want, /, *, wait: float) -> Sequence[Delivery]:
        taken = await fetch(self, want, wait=wait)
        await turns(2)
        return taken

    patch.setattr(MemorySession, "fetch", lossy)


@saboteur("disowns-nothing", "never hands out again what nobody runs", killed_by=("con.disown",))
def _(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(MemorySession, "disown", nothing)


@saboteur(
    "disowns-by-release",
    "hands disowned deliveries back to the queue, counted as released",
    killed_by=("con.disown",),
)
def _(patch: pytest.MonkeyPatch) -> None:
    def release(self: MemorySession, receipts: Sequence[Receipt], /) -> None:
        for receipt in receipts:
            entry = self._state.held.pop(receipt, None)
            if entry is not None:
                entry.counts = entry.counts.handed_back()
                self._store.put_back(entry)

    patch.setattr(MemorySession, "disown", release)


@saboteur("holds-nothing", "does not know what its sessions hold", killed_by=("con.disown", "con.cancelled-fetch"))
def _(patch: pytest.MonkeyPatch) -> None:
    async def held(self: MemorySession) -> Sequence[Receipt]:
        return []

    patch.setattr(MemorySession, "held", held)


@saboteur(
    "skips-the-unreadable",
    "drops what it cannot decode",
    killed_by=("con.unreadable", "dead.replay-unreadable"),
)
def _(patch: pytest.MonkeyPatch) -> None:
    take = handover.take

    def skipping(store: Store, session: SessionState, want: Want) -> list[Delivery]:
        taken = take(store, session, want)
        for delivery in taken:
            if isinstance(delivery.envelope, Unreadable):
                del session.held[delivery.receipt]
        return [delivery for delivery in taken if not isinstance(delivery.envelope, Unreadable)]

    patch.setattr(handover, "take", skipping)


@saboteur("mends-the-unreadable", "passes bytes on as text", killed_by=("con.unreadable",))
def _(patch: pytest.MonkeyPatch) -> None:
    plant = MemoryBroker.plant

    def mended(self: MemoryBroker, unreadable: Unreadable) -> None:
        plant(self, attrs.evolve(unreadable, raw=unreadable.raw.decode(errors="replace").encode()))

    patch.setattr(MemoryBroker, "plant", mended)
