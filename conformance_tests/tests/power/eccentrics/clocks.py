"""Odd times."""

from __future__ import annotations

import math
from collections.abc import Callable, Coroutine
from functools import wraps
from typing import Any

import attrs
import pytest

from orcastra_conformance import BrokerHarness
from orcastra_conformance.engine.steps import turns
from orcastra_core.backends.memory import broker
from orcastra_core.backends.memory.broker import MemoryBroker
from orcastra_core.backends.memory.conformance import Harness
from orcastra_core.backends.memory.dead_letters import MemoryDeadLetters
from orcastra_core.backends.memory.entry import Entry
from orcastra_core.backends.memory.events import MemoryEvents
from orcastra_core.backends.memory.ledger import Ledger
from orcastra_core.backends.memory.results import MemoryResults
from orcastra_core.backends.memory.scheduler import MemoryScheduler
from orcastra_core.backends.memory.session import MemorySession
from orcastra_core.backends.memory.session_state import SessionState
from orcastra_core.backends.memory.settings import LIMITS
from orcastra_core.backends.memory.store import Store
from orcastra_core.interfaces.clock import Clock
from orcastra_core.model.broker_url import BrokerUrl
from orcastra_core.model.profile import Profile
from orcastra_core.model.result import Result
from orcastra_core.model.session import Swept
from power.eccentric import eccentric

Method = Callable[..., Coroutine[Any, Any, Any]]


@eccentric(
    "whole-seconds",
    "makes due by the second, and keeps results to the end of theirs",
    allowed_by="time_resolution: Seconds by which a due task may be late on an idle store.",
)
def _(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(broker, "LIMITS", attrs.evolve(LIMITS, time_resolution=1.0))
    place, finish = Store.place, Ledger.finish

    def by_the_second(self: Store, entry: Entry, due: float | None) -> None:
        place(self, entry, None if due is None else math.ceil(due))

    def rounded(self: Ledger, results: dict[float, list[Result]], now: float) -> None:
        finish(self, {math.ceil(ttl): batch for ttl, batch in results.items()}, now)

    patch.setattr(Store, "place", by_the_second)
    patch.setattr(Ledger, "finish", rounded)


@eccentric(
    "slow",
    "takes a while over every call, before it has an effect and, but for a fetch, after it",
    allowed_by="Cancelling a call may happen at every await in it.",
)
def _(patch: pytest.MonkeyPatch) -> BrokerHarness:
    def slowed(method: Method, after: int) -> Method:
        @wraps(method)
        async def slow(*args: Any, **kwargs: Any) -> Any:
            await turns(22)  # more than a case lets pass for a call to be under way
            answer = await method(*args, **kwargs)
            await turns(after)
            return answer

        return slow

    for kind in (MemoryBroker, MemorySession, MemoryScheduler, MemoryResults, MemoryDeadLetters, MemoryEvents):
        for name, method in list(vars(kind).items()):
            if not name.startswith("_") and hasattr(method, "__code__") and method.__code__.co_flags & 0x80:
                patch.setattr(kind, name, slowed(method, 0 if name in ("fetch", "signals") else 5))
    return _Patient()


class _Patient(Harness):
    """Lets every call arrive before time goes on."""

    async def advance(self, seconds: float) -> None:
        await turns(50)
        await super().advance(seconds)
        await turns(50)


class _Ahead:
    """A clock an hour ahead of another."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.monotonic, self.sleep = clock.monotonic, clock.sleep

    def now(self) -> float:
        return self._clock.now() + 3600.0


@eccentric(
    "an-hour-ahead",
    "has a clock of its own, an hour ahead of everybody's",
    allowed_by="clock_offset: Seconds the store's clock is ahead of ours.",
)
def _(patch: pytest.MonkeyPatch) -> None:
    begin, open_ = MemoryBroker.__init__, MemoryBroker.open

    def ahead(self: MemoryBroker, url: BrokerUrl, *, clock: Clock) -> None:
        begin(self, url, clock=_Ahead(clock))

    async def told(self: MemoryBroker) -> Profile:
        return attrs.evolve(await open_(self), clock_offset=3600.0)

    patch.setattr(MemoryBroker, "__init__", ahead)
    patch.setattr(MemoryBroker, "open", told)


@eccentric(
    "in-no-hurry",
    "gives a silent session a little more than its lease, and buries one in a sweep",
    allowed_by="recovery_time: Seconds until the deliveries of a killed process may be handed out again, at the longest",
)
def _(patch: pytest.MonkeyPatch) -> None:
    sweep, lapsed = MemoryBroker.sweep, SessionState.lapsed

    async def one_by_one(self: MemoryBroker, *, limit: int) -> Swept:
        dead = [s for s in self._store.sessions.values() if patient(s, self._store.clock.monotonic())]
        with pytest.MonkeyPatch.context() as only:
            only.setattr(SessionState, "lapsed", lambda self, now: self is dead[0] if dead else False)
            swept = await sweep(self, limit=limit)
        return attrs.evolve(swept, more=swept.more or (len(dead) > 1 and bool(swept.sessions)))

    def patient(self: SessionState, now: float) -> bool:
        return lapsed(self, now - 0.05 * self.lease)

    patch.setattr(MemoryBroker, "sweep", one_by_one)
