"""The memory broker's harness: virtual time, so that hours pass at once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from orcastra_conformance import Address, BrokerHarness, NotApplicable, ServerFacts, VirtualClock
from orcastra_conformance.engine.refusals import REFUSABLE
from orcastra_core.backends.memory.broker import MemoryBroker
from orcastra_core.backends.memory.session import MemorySession
from orcastra_core.interfaces.broker import Broker
from orcastra_core.interfaces.clock import Clock
from orcastra_core.interfaces.session import Session
from orcastra_core.model.broker_url import BrokerUrl
from orcastra_core.model.envelope import Unreadable
from orcastra_core.model.names import DomainName


class Harness(BrokerHarness):
    """Brokers of one named store, on a clock that only the cases move.

    Args:
        mode: ``default``, or ``lesser``: without everything that a broker may refuse.
        without: Capabilities not to offer, as the URL parameter takes them, instead of a mode.
    """

    name = "memory"
    modes: ClassVar[tuple[str, ...]] = ("default", "lesser")
    lease = 10.0
    soon = 0.5
    patience = 1.0

    def __init__(self, mode: str = "default", *, without: str = "") -> None:
        self.mode = f"without {without}" if without else mode
        if mode == "lesser":
            without = ",".join(cap.name for cap in REFUSABLE)
        self._url = BrokerUrl.parse("memory://conformance" + (f"?without={without}" if without else ""))
        self._clock = VirtualClock()
        self._anchors: dict[str, Broker] = {}

    async def start(self) -> ServerFacts:
        return ServerFacts("memory", str(self._url), embedded=True)

    def url(self, domain: str, *, at: Address | None = None) -> str:
        raise NotApplicable("memory:// lives in one process: no other can reach it")

    async def broker(self, domain: str) -> Broker:
        url = BrokerUrl(
            self._url.scheme, self._url.hosts, domain=DomainName(domain), params=self._url.params, raw=self._url.raw
        )
        # one more that nobody closes, so that the store outlives its clients as a server would
        self._anchors.setdefault(domain, MemoryBroker(url, clock=self._clock))
        return MemoryBroker(url, clock=self._clock)

    async def wipe(self, domain: str) -> None:
        self._anchors.pop(domain, None)

    async def stop(self) -> None:
        self._anchors.clear()

    def now(self) -> float:
        return self._clock.now()

    @property
    def clock(self) -> Clock:
        return self._clock

    async def advance(self, seconds: float) -> None:
        await self._clock.advance(seconds)

    async def silence(self, session: Session) -> None:
        if isinstance(session, MemorySession):
            session.suspend()

    async def revive(self, session: Session) -> None:
        if isinstance(session, MemorySession):
            session.resume()

    async def plant(self, broker: Broker, unreadable: Unreadable) -> None:
        if isinstance(broker, MemoryBroker):
            broker.plant(unreadable)

    async def census(self, domain: str) -> Mapping[str, int]:
        anchor = self._anchors.get(domain)
        return anchor.census() if isinstance(anchor, MemoryBroker) else {}

    async def wreck(self, domain: str) -> None:
        raise NotApplicable("memory:// lives in one process: nobody else can remove anything of it")
