"""What an author writes to have a broker proved: about 40 lines."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import ClassVar, TypeAlias

import attrs

from orcastra_conformance.engine.expect import NotApplicable, Violation
from orcastra_conformance.engine.rows import Rows
from orcastra_core.interfaces.broker import Broker
from orcastra_core.interfaces.clock import Clock
from orcastra_core.interfaces.session import Session
from orcastra_core.liveness.system_clock import SystemClock
from orcastra_core.model.broker_url import BrokerUrl
from orcastra_core.model.envelope import Unreadable
from orcastra_core.model.errors import InvalidOption
from orcastra_core.plugins import load_broker

Address: TypeAlias = tuple[str, int]
"""A host and a port."""

REMEMBERED = "remembered"
"""The kind under which ``BrokerHarness.census`` counts the ids of tasks that have ended."""

_LONGEST_WAIT = 4.0


class Unproven(Exception):  # noqa: N818 - an outcome
    """The harness lacks the power that a case needs; it is reported, not passed."""


@attrs.frozen
class ServerFacts:
    """What is being proved.

    Attributes:
        product: The store's name and version.
        url: Where it is, without secrets.
        embedded: Whether there is no server: the store lives in the client's process or in files, no connection
            leads to it, and its clock is the client's. Cases of such mishap are not applicable then.
    """

    product: str
    url: str
    embedded: bool = False


class BrokerHarness(ABC):
    """Brings brokers, and time and mishap where it can.

    One instance a run; every case gets a domain of its own and an event loop of
    its own, so nothing that belongs to a loop may be kept from one call to the next.

    Attributes:
        name: What it is called on the command line.
        modes: The ways its server can be set up. Where there is more than one, it is made as ``Harness(mode)``; the first is
            the default.
        mode: How this run's server is set up, for the report.
        lease: Seconds of the sessions that cases open; short where time has to pass in earnest.
        soon: Seconds within which what ought to happen at once must have happened.
        patience: By what the cases' budgets are multiplied: they are for a store in memory on an idle machine.
        serializers: The serializers to prove beside the broker, by the names of their entry points.
        facts: What ``start`` told; set by the suite.
    """

    name: ClassVar[str]
    modes: ClassVar[tuple[str, ...]] = ("default",)
    mode: str = "default"
    lease: float = 1.0
    soon: float = 1.0
    patience: float = 2.0
    serializers: Sequence[str] = ("cbor", "json")
    facts: ServerFacts

    def use(self, url: str) -> None:
        """Prove the server at this URL instead of a private one. Called before ``start``, if at all.

        Raises:
            InvalidOption: It is no URL of this backend, or the harness always starts a server of its own.
        """
        raise InvalidOption(
            f"the harness {self.name!r} starts a server of its own and takes no URL (BrokerHarness.use)"
        )

    @abstractmethod
    async def start(self) -> ServerFacts:
        """Start a private server, or use one that runs. Once, before the first case."""

    @abstractmethod
    async def stop(self) -> None:
        """Stop what ``start`` started. Once, after the last case."""

    def url(self, domain: str, *, at: Address | None = None) -> str:
        """Return the URL by which any process reaches a domain.

        Args:
            domain: Whose.
            at: Where to connect instead of to the server itself: to a proxy before it.
        """
        raise Unproven("the harness gives no URL (BrokerHarness.url)")

    @staticmethod
    def dial(url: str) -> Broker:
        """Return a broker, not opened, for what ``url`` returned; also in another process, where nothing was started."""
        return load_broker(url)

    async def broker(self, domain: str) -> Broker:
        """Return one more broker of a domain, not opened. By default the one that ``url`` names."""
        return self.dial(self.url(domain))

    async def wipe(self, domain: str) -> None:
        """Remove what a domain left. After each case; every broker of it was closed. By default it goes with ``stop``."""
        return

    # Powers. What a harness lacks makes the cases that need it «unproven».

    def now(self) -> float:
        """Return the store's Unix time, but for ``Profile.clock_offset``."""
        return time.time()  # noqa: TID251 - the harness owns time here

    @property
    def clock(self) -> Clock:
        """The clock of the clients and workers that a case runs on its brokers. By default the system's."""
        return SystemClock()

    async def advance(self, seconds: float) -> None:
        """Let ``seconds`` pass for the store. By default in earnest, if it isn't long."""
        if seconds > _LONGEST_WAIT:
            raise Unproven(f"would have to wait {seconds:g} s")
        await SystemClock().sleep(seconds)

    async def silence(self, session: Session) -> None:
        """Stop a session's beats without its knowing, as a stopped process would."""
        raise Unproven("the harness cannot stop a session's beats (BrokerHarness.silence)")

    async def revive(self, session: Session) -> None:
        """Let a silenced session beat again, and return when it has."""
        raise Unproven("the harness cannot stop a session's beats (BrokerHarness.revive)")

    async def plant(self, broker: Broker, unreadable: Unreadable) -> None:
        """Put bytes that are no envelope into a queue."""
        raise Unproven("the harness cannot write into the store directly (BrokerHarness.plant)")

    async def census(self, domain: str) -> Mapping[str, int]:
        """Count what the store holds of a domain, by kind: keys, rows, files, topics, connections.

        Counts that come back to what they were show that nothing leaks. Ids that are known only so that a repeat is told
        from a new task are counted as ``REMEMBERED``: they stay for ``limits.publish_window`` and more.
        """
        raise Unproven("the harness cannot count what the store holds (BrokerHarness.census)")

    async def wreck(self, domain: str) -> None:
        """Remove a domain's keys, tables, topics or files under its clients' feet."""
        raise Unproven("the harness cannot remove the store's structures (BrokerHarness.wreck)")

    def rows(self, domain: str) -> AbstractAsyncContextManager[Rows]:
        """Make a table beside a domain's tasks, for as long as the context lasts. For what claims TX_PUBLISH or TX_COMPLETE.

        Its end waits for nobody: a broker that fails may have left a transaction open.
        """
        raise Unproven("the harness cannot write rows beside the tasks (BrokerHarness.rows)")

    async def restart_server(self) -> None:
        """Stop the server hard and start it again at the same address; return when it answers."""
        raise self._absent("restart the server", "restart_server")

    def pause_server(self) -> AbstractAsyncContextManager[None]:
        """Stop the server from answering, without closing a connection, for as long as the context lasts."""
        raise self._absent("pause the server", "pause_server")

    def address(self) -> Address:
        """Return where the server listens, for a proxy to stand before it. By default the only host of ``url``."""
        if self.facts.embedded:
            raise NotApplicable("no connection leads to an embedded store")
        hosts = BrokerUrl.parse(self.url("address")).hosts
        host, colon, port = hosts[0].rpartition(":") if len(hosts) == 1 else ("", "", "")
        if not colon or not port.isdigit():
            raise Unproven("the harness's URL names no single host:port (BrokerHarness.address)")
        return host.strip("[]"), int(port)

    def _absent(self, what: str, power: str) -> Exception:
        if self.facts.embedded:
            return NotApplicable("an embedded store has no server")
        return Unproven(f"the harness cannot {what} (BrokerHarness.{power})")


__all__ = ["Address", "BrokerHarness", "ServerFacts", "Unproven", "Violation"]
