"""Faults in how long keys last."""

from __future__ import annotations

from collections.abc import Sequence

import attrs
import pytest

from orcastra_core.backends.memory import dead_letters, handover, intake, settling, store
from orcastra_core.backends.memory.entry import Entry
from orcastra_core.backends.memory.keys import Hold, ended
from orcastra_core.backends.memory.session_state import SessionState
from orcastra_core.backends.memory.store import Store
from orcastra_core.model.envelope import Dedup, DedupMode, Envelope
from orcastra_core.model.published import Published
from orcastra_core.model.settlement import Dead, Release, Retry, Settled, Settlement
from power.saboteur import saboteur
from power.spoiling import alive, change_answers, change_envelopes


@saboteur(
    "a-delay-frees-the-key",
    "frees a dedup key while its task waits for another attempt",
    killed_by=("dedup.while-delayed",),
)
def _(patch: pytest.MonkeyPatch) -> None:
    def change(store: Store, session: SessionState, item: Settlement, answer: Settled) -> Settled:
        entry = alive(store, item.delivery.envelope.id)
        if isinstance(item, Retry | Release) and item.after > 0 and entry is not None and entry.special is not None:
            _free(entry)
        return answer

    change_answers(patch, change)


def _free(entry: Entry) -> None:
    if entry.special is not None and entry.special.hold is not None:
        entry.special.hold.free()


@saboteur(
    "leaving-frees-the-key",
    "frees the dedup keys of what a session hands back as it leaves",
    killed_by=("dedup.through-leave",),
)
def _(patch: pytest.MonkeyPatch) -> None:
    leave = handover.leave

    def careless(store: Store, session: SessionState) -> None:
        for entry in session.held.values():
            _free(entry)
        leave(store, session)

    patch.setattr(handover, "leave", careless)


@saboteur(
    "leaving-frees-the-line",
    "lets the next of an ordering key run when a session leaves",
    killed_by=("ord.key-through-leave",),
)
def _(patch: pytest.MonkeyPatch) -> None:
    leave = handover.leave

    def careless(store: Store, session: SessionState) -> None:
        for entry in session.held.values():
            if entry.special is not None:
                ended(store, entry)
        leave(store, session)

    patch.setattr(handover, "leave", careless)


@saboteur(
    "a-release-takes-the-key",
    "gives a key that was held until the start to its task again when that is handed back",
    killed_by=("dedup.until-start-stays-free",),
)
def _(patch: pytest.MonkeyPatch) -> None:
    def change(store: Store, session: SessionState, item: Settlement, answer: Settled) -> Settled:
        entry, envelope = alive(store, item.delivery.envelope.id), item.delivery.envelope
        if (
            isinstance(item, Release)
            and isinstance(envelope, Envelope)
            and envelope.dedup is not None
            and envelope.dedup.mode is DedupMode.UNTIL_START
            and entry is not None
        ):
            entry.queue.holds[envelope.dedup.key] = Hold(entry.id, entry.queue, envelope.dedup, None)
        return answer

    change_answers(patch, change)


@saboteur("the-end-ends-the-window", "frees a window's dedup key with its task", killed_by=("dedup.window-outlives",))
def _(patch: pytest.MonkeyPatch) -> None:
    for module in (store, settling):
        patch.setattr(module, "ended", lambda store, entry: ended(store, entry, forget=True))


@saboteur(
    "the-dead-keep-their-keys",
    "does not free the dedup key of a task that failed for good",
    killed_by=("dedup.replay-takes",),
)
def _(patch: pytest.MonkeyPatch) -> None:
    def change(store: Store, session: SessionState, item: Settlement, answer: Settled) -> Settled:
        envelope = item.delivery.envelope
        if isinstance(item, Dead) and isinstance(envelope, Envelope) and envelope.dedup is not None:
            queue = store.queue(envelope.queue)
            queue.holds[envelope.dedup.key] = Hold(envelope.id, queue, Dedup(envelope.dedup.key), None)
        return answer

    change_answers(patch, change)


@saboteur("cuts-keys-at-colons", "ends an ordering key at its first colon", killed_by=("ord.key-scoped-to-queue",))
def _(patch: pytest.MonkeyPatch) -> None:
    change_envelopes(
        patch,
        lambda envelope: attrs.evolve(
            envelope, order_by=None if envelope.order_by is None else envelope.order_by.partition(":")[0]
        ),
    )


@saboteur("emits-out-of-line", "does not line up what is emitted", killed_by=("ord.key-emit",))
def _(patch: pytest.MonkeyPatch) -> None:
    admit = intake.admit

    def pushy(store: Store, batch: Sequence[Envelope], events: Sequence[bytes] = ()) -> list[Published]:
        return admit(store, [attrs.evolve(envelope, order_by=None) for envelope in batch], events)

    patch.setattr(settling, "admit", pushy)


@saboteur("replays-out-of-line", "does not line up what is replayed", killed_by=("ord.key-replay",))
def _(patch: pytest.MonkeyPatch) -> None:
    place_new = intake.place_new
    patch.setattr(
        dead_letters, "place_new", lambda store, entry, hold, order_by, due: place_new(store, entry, hold, None, due)
    )
