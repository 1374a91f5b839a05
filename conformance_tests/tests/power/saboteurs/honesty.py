"""Faults in what a broker says of itself: it takes what it does not claim, or claims what it does not take."""

from __future__ import annotations

import attrs
import pytest

from orcastra_conformance import BrokerHarness
from orcastra_core.backends.memory import broker
from orcastra_core.backends.memory.broker import MemoryBroker
from orcastra_core.backends.memory.conformance import Harness
from orcastra_core.backends.memory.settings import CLAIMS, LIMITS
from orcastra_core.model.profile import Cap, Profile
from power.saboteur import Spoil, saboteur

NEEDED = {
    Cap.DELAY: "delay.not-before",
    Cap.PRIORITY: "prio.high-first",
    Cap.DEDUP: "dedup.once",
    Cap.ORDERED_KEY: "ord.key-one-at-a-time",
    Cap.CANCEL: "can.four-answers",
    Cap.LOOKUP: "find.states",
    Cap.INSPECT: "ins.counts",
    Cap.PAUSE: "pause.stops-handing-out",
    Cap.PURGE: "purge.waiting",
    Cap.RESULTS: "res.roundtrip",
    Cap.DEAD_LETTERS: "dead.keeps-everything",
    Cap.EVENTS: "evt.order",
    Cap.SCHEDULES: "sch.fires-once",
}
"""A case that cannot pass without the capability; of those that memory:// has."""


def _takes(cap: Cap) -> Spoil:
    def spoil(patch: pytest.MonkeyPatch) -> None:
        patch.setattr(broker, "CLAIMS", CLAIMS - {cap})

    return spoil


def _lacks(cap: Cap) -> Spoil:
    def spoil(patch: pytest.MonkeyPatch) -> BrokerHarness:
        open_ = MemoryBroker.open

        async def boast(self: MemoryBroker) -> Profile:
            return attrs.evolve(await open_(self), capabilities=CLAIMS)

        patch.setattr(MemoryBroker, "open", boast)
        return Harness(without=cap.name)

    return spoil


for _cap in NEEDED:
    _name = _cap.name.lower().replace("_", "-")
    saboteur(
        f"takes-{_name}", f"does not claim {_cap.name}, and does not refuse it", killed_by=(f"hon.refuses-{_name}",)
    )(_takes(_cap))
    saboteur(f"lacks-{_name}", f"claims {_cap.name}, and does not have it", killed_by=(NEEDED[_cap],))(_lacks(_cap))


@saboteur(
    "claims-more-than-its-class", "offers what its class does not know of", killed_by=("hon.profile-within-claims",)
)
def _(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(MemoryBroker, "claims", CLAIMS - {Cap.DELAY})


@saboteur("numbers-from-one", "takes priorities from 1 on", killed_by=("hon.profile-within-claims", "prio.high-first"))
def _(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(broker, "LIMITS", attrs.evolve(LIMITS, priorities=(1, 10)))
