"""The Kafka broker's harness: a private broker, or the cluster that a URL names; time in earnest."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import ClassVar, Protocol, runtime_checkable
from urllib.parse import quote

from orcastra_conformance import Address, BrokerHarness, ServerFacts, Unproven
from orcastra_core.interfaces.broker import Broker
from orcastra_core.interfaces.session import Session
from orcastra_core.model.broker_url import BrokerUrl
from orcastra_core.model.envelope import Unreadable
from orcastra_core.model.errors import InvalidOption
from orcastra_kafka.broker import KafkaBroker
from orcastra_kafka.conformance_admin import Admin, Group
from orcastra_kafka.conformance_janitor import Janitor
from orcastra_kafka.conformance_relay import Relay
from orcastra_kafka.conformance_servers import VARIABLE, Ground, Server, program
from orcastra_kafka.conformance_settings import FAST, STOCK
from orcastra_kafka.topics import Names

SERVER_VARIABLE = "ORCASTRA_TEST_KAFKA_URL"

_LANES: Mapping[str, Mapping[str, str]] = {
    "share": {"lane": "share"},
    "classic": {"lane": "classic"},
    "transactions": {"lane": "classic", "transactions": "1"},
}
_STOCK_SESSION = 6.0
"""Seconds, the shortest session that a broker grants as it comes."""
_STOCK_LOCK = 15.0
"""Seconds, the same for the lock on a shared record."""


@runtime_checkable
class _Suspending(Protocol):
    async def suspend(self) -> None: ...

    async def resume(self) -> None: ...


class Harness(BrokerHarness):
    """Brokers of one cluster, each domain with a prefix of its own.

    It starts a Kafka broker of its own with the program that ORCASTRA_KAFKA_SERVER names, or kafka-run-class.sh on the path. Where
    there is none it uses the cluster at ORCASTRA_TEST_KAFKA_URL, which it can neither restart nor stop.

    Args:
        mode: The lane that sessions consume by: ``share`` (share groups), ``classic`` (a consumer group), ``transactions`` (a
            consumer group, each settle a transaction); with ``-stock`` behind it, on a broker with the timeouts that it has as it comes.
    """

    name = "kafka"
    modes: ClassVar[tuple[str, ...]] = (*_LANES, *(f"{lane}-stock" for lane in _LANES))
    lease = 1.0
    soon = 2.0
    patience = 4.0

    def __init__(self, mode: str = "share") -> None:
        self.mode = mode
        self._lane, _, stock = mode.partition("-")
        if stock:
            self.lease = _STOCK_LOCK if self._lane == "share" else _STOCK_SESSION
            self.soon = self.lease + 2.0
            self.patience = 20.0
        elif self._lane != "share":  # a session that begins or ends makes a group share out anew
            self.soon = 3.0
            self.patience = 6.0
        self._settings = STOCK if stock else FAST
        self._url = ""
        self._ground: Ground | None = None
        self._server: Server | None = None
        self._relay: Relay | None = None
        self._janitor: Janitor | None = None

    def use(self, url: str) -> None:
        parsed = BrokerUrl.parse(url)
        if parsed.scheme not in ("kafka",):
            raise InvalidOption(f"{parsed}: the harness takes a kafka:// URL")
        if self._settings is STOCK:
            raise InvalidOption(f"{parsed}: the mode {self.mode!r} needs a broker of the harness's own; give it no URL")
        self._url = url

    async def start(self) -> ServerFacts:
        if not self._url and program() is None and SERVER_VARIABLE in os.environ:
            self.use(os.environ[SERVER_VARIABLE])
        if not self._url:
            self._ground = Ground(self._settings)
            self._server = await self._ground.server()
            self._relay = Relay(self._server.advertised)
        self._janitor = Janitor(BrokerUrl.parse(self.url("janitor")).hosts[0])
        broker = KafkaBroker(BrokerUrl.parse(self.url("start")))
        profile = await broker.open()
        await broker.close()
        await self.wipe("start")
        return ServerFacts(profile.server, str(BrokerUrl.parse(self._url or self.url("start").partition("?")[0])))

    async def stop(self) -> None:
        if self._janitor is not None:
            self._janitor.close()
        if self._relay is not None:
            self._relay.close()
        if self._ground is not None:
            self._ground.close()

    def url(self, domain: str, *, at: Address | None = None) -> str:
        parameters = {**_LANES[self._lane], "partitions": "4" if self._lane != "share" else "1", "domain": domain}
        if self._server is not None:  # shorter than for users: cases wait for them
            parameters |= {"timeout": "2", "connect_timeout": "2"}
            base = f"{self._server.url}/"
        else:
            base = self._url
        if at is not None:
            if self._relay is not None:
                self._relay.target = at
            base = base.replace(BrokerUrl.parse(base).hosts[0], f"{at[0]}:{at[1]}", 1)
        return (
            f"{base}{'&' if '?' in base else '?'}{'&'.join(f'{key}={quote(text)}' for key, text in parameters.items())}"
        )

    async def advance(self, seconds: float) -> None:
        if self._settings is STOCK and seconds <= 2 * self.lease:  # nothing to wait for, but for a proof
            await self.clock.sleep(seconds)
        else:
            await super().advance(seconds)

    async def wipe(self, domain: str) -> None:
        prefix = Names(domain).prefix

        async def remove(cluster: Admin) -> Sequence[Group]:
            # groups first: with its topics gone, a share group's state takes the coordinator many retries to remove
            left = await cluster.delete_groups(await cluster.groups(prefix))
            await cluster.delete_topics(await cluster.topics(prefix))
            return left

        if left := await self._here.do(remove):
            await self._here.do_later(lambda cluster: cluster.delete_silent_groups(left))

    async def silence(self, session: Session) -> None:
        if isinstance(session, _Suspending):
            await session.suspend()

    async def revive(self, session: Session) -> None:
        if isinstance(session, _Suspending):
            await session.resume()

    async def plant(self, broker: Broker, unreadable: Unreadable) -> None:
        if isinstance(broker, KafkaBroker):
            await broker.plant(unreadable)

    async def census(self, domain: str) -> Mapping[str, int]:
        """Count queues' topics, groups and what the log of results has. The logs themselves stay, once they were used."""
        names = Names(domain)

        async def count(cluster: Admin) -> Mapping[str, int]:
            topics = await cluster.topics(names.prefix)
            queues = [name for name in topics if name.removeprefix(names.prefix).startswith("q.")]
            groups = await cluster.groups(names.prefix)
            results = await cluster.records(names.results) if names.results in topics else 0
            return {"topics": len(queues), "groups": len(groups), "results": results}

        return await self._here.do(count)

    async def wreck(self, domain: str) -> None:
        async def remove(cluster: Admin) -> None:
            await cluster.delete_topics(await cluster.topics(Names(domain).prefix))

        await self._here.do(remove)

    async def restart_server(self) -> None:
        await self._private("restart").restart()

    def pause_server(self) -> AbstractAsyncContextManager[None]:
        return self._private("stop").paused()

    def address(self) -> Address:
        """Where the broker listens for those who come by a proxy: it tells them to come by the relay, which leads there."""
        return ("127.0.0.1", self._private("stand before").relayed)

    def _private(self, what: str) -> Server:
        if self._server is None:
            raise Unproven(
                f"the harness does not {what} a broker that it has not started; give it no URL, and a Kafka:"
                f" kafka-run-class.sh on the path, or where {VARIABLE} says"
            )
        return self._server

    @property
    def _here(self) -> Janitor:
        if self._janitor is None:
            raise Unproven("the harness was not started")
        return self._janitor
