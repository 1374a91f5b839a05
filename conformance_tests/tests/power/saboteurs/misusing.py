"""Faults in what is said to bad arguments and bad items."""

from __future__ import annotations

import math
from collections.abc import Sequence

import attrs
import pytest

from orcastra_core.backends.memory import intake, settling
from orcastra_core.backends.memory.broker import MemoryBroker
from orcastra_core.backends.memory.dead_letters import MemoryDeadLetters
from orcastra_core.backends.memory.session_state import SessionState
from orcastra_core.backends.memory.store import Store
from orcastra_core.model.envelope import Envelope
from orcastra_core.model.ids import TaskId
from orcastra_core.model.profile import Profile
from orcastra_core.model.published import Published
from orcastra_core.model.settlement import Complete, Dead, Settled, Settlement
from power.saboteur import saboteur
from power.spoiling import change_envelopes, change_settlements


@saboteur("raises-key-errors", "lets a KeyError out when a dead letter is not there", killed_by=("hon.typed-errors",))
def _(patch: pytest.MonkeyPatch) -> None:
    replay = MemoryDeadLetters.replay

    async def raw(
        self: MemoryDeadLetters, ids: Sequence[TaskId], /, *, events: Sequence[bytes] = ()
    ) -> Sequence[Published | None]:
        for task_id in ids:
            self._store.dead[task_id]
        return await replay(self, ids, events=events)

    patch.setattr(MemoryDeadLetters, "replay", raw)


@saboteur("another-profile-each-time", "says another largest body at every open", killed_by=("hon.profile-stable",))
def _(patch: pytest.MonkeyPatch) -> None:
    open_once = MemoryBroker.open
    opened: list[MemoryBroker] = []

    async def fickle(self: MemoryBroker) -> Profile:
        profile = await open_once(self)
        opened.append(self)
        larger = attrs.evolve(profile.limits, max_body=profile.limits.max_body + len(opened))
        return attrs.evolve(profile, limits=larger)

    patch.setattr(MemoryBroker, "open", fickle)


@saboteur(
    "takes-no-time-for-now",
    "takes a due moment that is none for no delay",
    killed_by=("pub.bad-item-alone", "set.bad-item-alone"),
)
def _(patch: pytest.MonkeyPatch) -> None:
    def change(envelope: Envelope) -> Envelope:
        return attrs.evolve(envelope, due=None) if envelope.due is not None and math.isnan(envelope.due) else envelope

    change_envelopes(patch, change)
    admit = intake.admit
    patch.setattr(settling, "admit", lambda store, batch: admit(store, [change(envelope) for envelope in batch]))


@saboteur("takes-anybodys-result", "ends a task with the result of another", killed_by=("set.bad-item-alone",))
def _(patch: pytest.MonkeyPatch) -> None:
    def change(item: Settlement) -> Settlement:
        if isinstance(item, Complete):
            return attrs.evolve(item, result=attrs.evolve(item.result, id=item.delivery.envelope.id))
        return item

    change_settlements(patch, change)


@saboteur(
    "repeats-deaths", "keeps no answer to a settle in which a task failed for good", killed_by=("num.cancelled-dead",)
)
def _(patch: pytest.MonkeyPatch) -> None:
    settle = settling.settle

    def forgetful(store: Store, session: SessionState, batch: Sequence[Settlement], number: int) -> Sequence[Settled]:
        answers = settle(store, session, batch, number)
        if any(isinstance(item, Dead) for item in batch):
            session.answers.pop(number, None)
            session.last_number = number - 1
        return answers

    patch.setattr(settling, "settle", forgetful)
