"""Faults in delay."""

from __future__ import annotations

import math
from collections.abc import Sequence
from weakref import WeakKeyDictionary

import attrs
import pytest

from orcastra_core.backends.memory import intake, settling
from orcastra_core.backends.memory.broker import MemoryBroker
from orcastra_core.backends.memory.entry import Entry
from orcastra_core.backends.memory.settings import LIMITS
from orcastra_core.backends.memory.store import Store
from orcastra_core.model.envelope import Envelope
from orcastra_core.model.profile import Profile
from orcastra_core.model.published import Published, Refused
from orcastra_core.model.settlement import Release, Retry, Settlement
from power.saboteur import saboteur
from power.spoiling import change_settlements, nothing


@saboteur(
    "ignores-due", "hands out at once what is due later", killed_by=("delay.not-before", "delay.emit", "delay.retry")
)
def _(patch: pytest.MonkeyPatch) -> None:
    place = Store.place
    patch.setattr(Store, "place", lambda self, entry, due: place(self, entry, None))


@saboteur(
    "never-promotes",
    "keeps what was deferred for ever",
    killed_by=("delay.arrives", "delay.by-due-time", "delay.survives-clients", "delay.retry", "delay.emit"),
)
def _(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Store, "promote", lambda self, limit: 0)


@saboteur("refuses-the-past", "refuses a due moment that has passed", killed_by=("delay.past-is-now",))
def _(patch: pytest.MonkeyPatch) -> None:
    refusal = intake._refusal

    def strict(store: Store, envelope: Envelope) -> Refused | None:
        if envelope.due is not None and envelope.due < store.clock.now():
            return Refused("due has passed")
        return refusal(store, envelope)

    patch.setattr(intake, "_refusal", strict)


@saboteur(
    "waits-for-the-past",
    "defers what is due already until somebody looks again tomorrow",
    killed_by=("delay.past-is-now",),
)
def _(patch: pytest.MonkeyPatch) -> None:
    place = Store.place

    def tomorrow(self: Store, entry: Entry, due: float | None) -> None:
        place(self, entry, None if due is None else max(due, self.clock.now() + 86400.0))

    patch.setattr(Store, "place", tomorrow)


@saboteur("promotes-as-published", "makes due tasks ready in the order they came in", killed_by=("delay.by-due-time",))
def _(patch: pytest.MonkeyPatch) -> None:
    promote = Store.promote

    def unsorted(self: Store, limit: int) -> int:
        now = self.clock.now()
        due = [ticket for ticket in self._delayed if ticket[0] <= now]
        rest = [ticket for ticket in self._delayed if ticket[0] > now]
        self._delayed = sorted([(0.0, number, entry) for _, number, entry in due]) + sorted(rest)
        return promote(self, limit)

    patch.setattr(Store, "promote", unsorted)


@saboteur(
    "delays-in-the-client",
    "keeps what is deferred in the client that published it, until it is due",
    killed_by=("delay.survives-clients",),
)
def _(patch: pytest.MonkeyPatch) -> None:
    close, defer = MemoryBroker.close, Store._defer
    deferred: WeakKeyDictionary[Store, list[Entry]] = WeakKeyDictionary()

    def note(self: Store, entry: Entry, due: float) -> None:
        deferred.setdefault(self, []).append(entry)
        defer(self, entry, due)

    async def forget(self: MemoryBroker) -> None:
        for entry in deferred.pop(self._store, []):
            self._store.remove_waiting(entry)
        await close(self)

    patch.setattr(Store, "_defer", note)
    patch.setattr(MemoryBroker, "close", forget)


@saboteur("retries-at-once", "does not wait before another attempt", killed_by=("delay.retry", "ord.key-through-retry"))
def _(patch: pytest.MonkeyPatch) -> None:
    def hasty(item: Settlement) -> Settlement:
        return attrs.evolve(item, after=0.0) if isinstance(item, Retry | Release) else item

    change_settlements(patch, hasty)


@saboteur("delays-are-minutes", "takes seconds for minutes", killed_by=("delay.retry",))
def _(patch: pytest.MonkeyPatch) -> None:
    def slow(item: Settlement) -> Settlement:
        return attrs.evolve(item, after=item.after * 60) if isinstance(item, Retry | Release) else item

    change_settlements(patch, slow)


@saboteur("emits-at-once", "does not look when a follow-up is due", killed_by=("delay.emit",))
def _(patch: pytest.MonkeyPatch) -> None:
    def now(store: Store, batch: Sequence[Envelope]) -> list[Published]:
        return intake.admit(store, [attrs.evolve(envelope, due=None) for envelope in batch])

    patch.setattr(settling, "admit", now)


@saboteur("tells-no-promoter", "defers and tells nobody when to come again", killed_by=("delay.tells-promoters",))
def _(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Store, "tell_due_soon", nothing)


@saboteur("delays-any-time", "takes a due moment farther away than it says", killed_by=("delay.limit",))
def _(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(intake, "LIMITS", attrs.evolve(LIMITS, max_delay=math.inf))


@saboteur("delays-less-than-it-says", "declares a longer max_delay than it takes", killed_by=("delay.limit",))
def _(patch: pytest.MonkeyPatch) -> None:
    open_ = MemoryBroker.open

    async def boast(self: MemoryBroker) -> Profile:
        profile = await open_(self)
        return attrs.evolve(profile, limits=attrs.evolve(profile.limits, max_delay=LIMITS.max_delay * 2))

    patch.setattr(MemoryBroker, "open", boast)
