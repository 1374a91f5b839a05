"""What an author writes to have a broker proved: about 40 lines."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from typing import ClassVar

import attrs

from orcastra_conformance.expect import Violation
from orcastra_core.interfaces.broker import Broker
from orcastra_core.interfaces.session import Session
from orcastra_core.liveness.system_clock import SystemClock
from orcastra_core.model.envelope import Unreadable

_LONGEST_WAIT = 4.0


class Unproven(Exception):  # noqa: N818 - an outcome
    """The harness lacks the power that a case needs; it is reported, not passed."""


@attrs.frozen
class ServerFacts:
    """What is being proved: product and version, and where it is."""

    product: str
    url: str


class BrokerHarness(ABC):
    """Brings brokers, and time and mishap where it can.

    One instance a run; every case gets a domain of its own and an event loop of
    its own, so nothing that belongs to a loop may be kept from one call to the next.
    """

    name: ClassVar[str]
    mode: str = "default"
    lease: float = 1.0
    """Seconds of the sessions that cases open; short where time has to pass in earnest."""

    @abstractmethod
    async def start(self) -> ServerFacts:
        """Make a server ready: a private one, or the one that was named."""

    @abstractmethod
    async def broker(self, domain: str) -> Broker:
        """Return a new broker for a domain, not opened. Brokers of one domain are independent clients of it."""

    @abstractmethod
    async def wipe(self, domain: str) -> None:
        """Remove what a domain left. All of its brokers are closed."""

    @abstractmethod
    async def stop(self) -> None:
        """Stop what ``start`` started."""

    # Powers. What a harness lacks makes the cases that need it «unproven».

    def now(self) -> float:
        """Return the store's Unix time, but for ``Profile.clock_offset``."""
        return time.time()  # noqa: TID251 - the harness owns time here

    async def advance(self, seconds: float) -> None:
        """Let ``seconds`` pass for the store. By default in earnest, if it isn't long."""
        if seconds > _LONGEST_WAIT:
            raise Unproven(f"would have to wait {seconds:g} s")
        await SystemClock().sleep(seconds)

    async def silence(self, session: Session) -> None:
        """Stop a session's beats without its knowing, as a stopped process would."""
        raise Unproven("the harness cannot stop a session's beats")

    async def revive(self, session: Session) -> None:
        """Let a silenced session beat again, and return when it has."""
        raise Unproven("the harness cannot stop a session's beats")

    async def plant(self, broker: Broker, unreadable: Unreadable) -> None:
        """Put bytes that are no envelope into a queue."""
        raise Unproven("the harness cannot write into the store directly")


__all__ = ["BrokerHarness", "ServerFacts", "Unproven", "Violation"]
