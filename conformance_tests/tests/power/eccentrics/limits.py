"""Odd numbers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import attrs
import pytest

from orcastra_core.backends.memory import broker, intake, settling
from orcastra_core.backends.memory.broker import MemoryBroker
from orcastra_core.backends.memory.session import MemorySession
from orcastra_core.backends.memory.settings import LIMITS
from orcastra_core.backends.memory.store import Store
from orcastra_core.model.delivery import Delivery, Want
from orcastra_core.model.envelope import Envelope
from orcastra_core.model.errors import InvalidOption
from orcastra_core.model.published import Published
from orcastra_core.model.settlement import Settled, Settlement
from power.eccentric import eccentric


def _limit(patch: pytest.MonkeyPatch, **changes: Any) -> None:
    """Declare other limits, and keep them."""
    limits = attrs.evolve(LIMITS, **changes)
    for module in (broker, intake, settling):
        patch.setattr(module, "LIMITS", limits)
    patch.setattr(intake, "_LOWEST", limits.priorities[0])
    patch.setattr(intake, "_HIGHEST", limits.priorities[1])


@eccentric(
    "ten-at-most",
    "takes no more than ten in one call, and raises for an eleventh",
    allowed_by="max_batch: Most items of one publish, fetch or settle.",
)
def _(patch: pytest.MonkeyPatch) -> None:
    most = 10
    _limit(patch, max_batch=most)
    publish, fetch, settle = MemoryBroker.publish, MemorySession.fetch, MemorySession.settle

    def check(number: int) -> None:
        if number > most:
            raise InvalidOption(f"{number} in one call; at most {most} are taken")

    async def published(
        self: MemoryBroker, batch: Sequence[Envelope], /, *, events: Sequence[bytes] = ()
    ) -> Sequence[Published]:
        check(len(batch))
        return await publish(self, batch, events=events)

    async def fetched(self: MemorySession, want: Want, /, *, wait: float) -> Sequence[Delivery]:
        check(want.limit)
        return await fetch(self, want, wait=wait)

    async def settled(self: MemorySession, batch: Sequence[Settlement], /, *, number: int) -> Sequence[Settled]:
        check(len(batch))
        return await settle(self, batch, number=number)

    patch.setattr(MemoryBroker, "publish", published)
    patch.setattr(MemorySession, "fetch", fetched)
    patch.setattr(MemorySession, "settle", settled)


@eccentric(
    "small-bodies",
    "takes bodies of a kilobyte",
    allowed_by="max_body: Largest Envelope.body and encoded result value, bytes.",
)
def _(patch: pytest.MonkeyPatch) -> None:
    _limit(patch, max_body=1024)


@eccentric(
    "nothing-above-zero",
    "knows priorities from -3 to 0",
    allowed_by="priorities: Lowest and highest priority it takes, inclusive.",
)
def _(patch: pytest.MonkeyPatch) -> None:
    _limit(patch, priorities=(-3, 0))


@eccentric(
    "once-is-enough",
    "tells no repeat from a first call: it stores it again, and answers STALE to the other",
    allowed_by="publish_window … 0: never, do not repeat. settle_window … 0: none, do not repeat.",
)
def _(patch: pytest.MonkeyPatch) -> None:
    _limit(patch, publish_window=0.0, settle_window=0)

    def anew(store: Store, envelope: Envelope, now: float) -> Published:
        return intake._admit_special(store, envelope, now)

    patch.setattr(intake, "_known", anew)
