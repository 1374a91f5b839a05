"""Faults in the event log."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import attrs
import pytest

from orcastra_core.backends.memory import events, handover, intake
from orcastra_core.backends.memory.event_list import EventList
from orcastra_core.backends.memory.events import MemoryEvents
from orcastra_core.backends.memory.store import Store
from orcastra_core.model.envelope import Envelope
from orcastra_core.model.event import EventKind, LogEntry
from orcastra_core.model.names import SessionId
from orcastra_core.model.published import Published
from orcastra_core.model.session import Lost
from orcastra_core.model.settlement import Complete, Settlement
from orcastra_core.serialization import event_codec
from power.saboteur import saboteur
from power.spoiling import change_settlements, nothing


@saboteur("newest-first", "reads the log from its end", killed_by=("evt.order",))
def _(patch: pytest.MonkeyPatch) -> None:
    read = MemoryEvents.read

    async def backwards(self: MemoryEvents, *, after: str | None = None, limit: int = 1000) -> Sequence[LogEntry]:
        return (await read(self, after=after, limit=limit))[::-1]

    patch.setattr(MemoryEvents, "read", backwards)


@saboteur(
    "one-cursor-a-settlement",
    "gives all events of one settlement the same place: a page that ends among them skips the rest",
    killed_by=("evt.order",),
)
def _(patch: pytest.MonkeyPatch) -> None:
    parse = events._parse
    patch.setattr(events, "_parse", lambda cursor: (parse(cursor)[0], 10**9))


@saboteur("cursors-repeat", "begins a page with the entry that ended the last", killed_by=("evt.order",))
def _(patch: pytest.MonkeyPatch) -> None:
    parse = events._parse
    patch.setattr(events, "_parse", lambda cursor: (parse(cursor)[0], max(0, parse(cursor)[1] - 1)))


@saboteur(
    "tells-of-the-refused",
    "appends the events of a whole batch, stored or not",
    killed_by=("evt.with-stored",),
)
def _(patch: pytest.MonkeyPatch) -> None:
    admit = intake.admit

    def talkative(store: Store, batch: Sequence[Envelope], told: Sequence[bytes] = ()) -> list[Published]:
        store.events.extend(list(told))
        return admit(store, batch)

    patch.setattr(intake, "admit", talkative)


@saboteur(
    "publishes-untold",
    "ignores the events that come with a publish",
    killed_by=("evt.with-stored", "evt.order"),
)
def _(patch: pytest.MonkeyPatch) -> None:
    admit = intake.admit
    patch.setattr(intake, "admit", lambda store, batch, told=(): admit(store, batch))


@saboteur("loses-untold", "makes no LOST event", killed_by=("evt.lost",))
def _(patch: pytest.MonkeyPatch) -> None:
    rehome = handover.rehome

    def silent(store: Store, limit: int, *, only: SessionId | None = None) -> list[Lost]:
        with pytest.MonkeyPatch.context() as quiet:
            quiet.setattr(EventList, "extend", nothing)
            return rehome(store, limit, only=only)

    patch.setattr(handover, "rehome", silent)


@saboteur("loses-once", "makes one LOST event for a session, whatever it held", killed_by=("evt.lost",))
def _(patch: pytest.MonkeyPatch) -> None:
    extend = EventList.extend

    def once(self: EventList, pieces: list[bytes]) -> None:
        lost = [p for p in pieces if [e.kind for e in event_codec.decode_events(p)] == [EventKind.LOST]]
        extend(self, lost[:1] if lost else pieces)

    patch.setattr(EventList, "extend", once)


@saboteur("loses-at-no-time", "dates a LOST event with the time since the store began", killed_by=("evt.lost",))
def _(patch: pytest.MonkeyPatch) -> None:
    lost = event_codec.lost
    patch.setattr(event_codec, "lost", lambda one, at: lost(one, at - 1_700_000_000.0))


@saboteur("trims-the-newest", "drops the newest entries", killed_by=("evt.trim",))
def _(patch: pytest.MonkeyPatch) -> None:
    def trim(self: EventList, keep: int) -> int:
        surplus = max(0, len(self._pieces) - keep)
        for _ in range(surplus):
            self._pieces.pop()
        return surplus

    patch.setattr(EventList, "trim", trim)


@saboteur("trims-everything", "drops the whole log", killed_by=("evt.trim",))
def _(patch: pytest.MonkeyPatch) -> None:
    trim = EventList.trim
    patch.setattr(EventList, "trim", lambda self, keep: trim(self, 0))


@saboteur("trims-nothing", "says that it dropped what is still there", killed_by=("evt.trim",))
def _(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(EventList, "trim", lambda self, keep: max(0, len(self._pieces) - keep))


@saboteur("ends-at-a-trimmed-cursor", "finds nothing behind an entry that was dropped", killed_by=("evt.trim",))
def _(patch: pytest.MonkeyPatch) -> None:
    from_number = EventList.from_number

    def strict(self: EventList, number: int, most: int) -> Iterable[tuple[int, bytes]]:
        gone = self._total - len(self._pieces)
        return [] if 0 < number <= gone else from_number(self, number, most)

    patch.setattr(EventList, "from_number", strict)


@saboteur("tells-of-success", "appends the events of what was completed alone", killed_by=("evt.with-settle",))
def _(patch: pytest.MonkeyPatch) -> None:
    def quiet(item: Settlement) -> Settlement:
        return item if isinstance(item, Complete) else attrs.evolve(item, events=b"")

    change_settlements(patch, quiet)


@saboteur(
    "settles-untold", "ignores the events that come with a settlement", killed_by=("evt.with-settle", "evt.order")
)
def _(patch: pytest.MonkeyPatch) -> None:
    change_settlements(patch, lambda item: attrs.evolve(item, events=b""))
