"""The Redis broker's harness: private servers, or one that a URL names; time in earnest."""

from __future__ import annotations

import asyncio
import os
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, ClassVar
from urllib.parse import quote

from orcastra_conformance import Address, BrokerHarness, ServerFacts, Unproven
from orcastra_conformance.engine.harness import REMEMBERED
from orcastra_core.interfaces.broker import Broker
from orcastra_core.interfaces.session import Session
from orcastra_core.model.broker_url import BrokerUrl
from orcastra_core.model.envelope import Unreadable
from orcastra_core.model.errors import BrokerError, InvalidOption
from orcastra_redis.beat import beat
from orcastra_redis.broker import RedisBroker
from orcastra_redis.conformance_sentinels import Sentinels
from orcastra_redis.conformance_servers import VARIABLE, Ground, program
from orcastra_redis.conformance_setups import Cluster, Setup, Standalone
from orcastra_redis.link import Link
from orcastra_redis.session import RedisSession
from orcastra_redis.settings import Settings

SERVER_VARIABLE = "ORCASTRA_TEST_REDIS_URL"

_PATIENCE = 10.0
"""Seconds a server that was just restarted may take to answer."""


class Harness(BrokerHarness):
    """Brokers of one Redis, each domain with a prefix of its own.

    It starts redis-server processes of its own, of the program that ORCASTRA_REDIS_SERVER names or that is on the path. Where
    there is none it uses the server at ORCASTRA_TEST_REDIS_URL, which it can neither restart nor stop.

    Args:
        mode: How they are set up: ``standalone`` (AOF, appendfsync everysec), ``resp2`` (the older protocol), ``always``
            (appendfsync always), ``cluster`` (three masters), ``sentinel`` (a restart is a failover).
    """

    name = "redis"
    modes: ClassVar[tuple[str, ...]] = ("standalone", "resp2", "always", "cluster", "sentinel")
    lease = 0.5

    def __init__(self, mode: str = "standalone") -> None:
        self.mode = mode
        self._url = ""
        self._ground: Ground | None = None
        self._setup: Setup | None = None

    def use(self, url: str) -> None:
        parsed = BrokerUrl.parse(url)
        Settings.of(parsed)
        if self.mode not in ("standalone", "resp2"):
            raise InvalidOption(f"{parsed}: the mode {self.mode!r} needs servers of the harness's own; give it no URL")
        self._url = url if self.mode == "standalone" else f"{url}{'&' if '?' in url else '?'}protocol=2"

    async def start(self) -> ServerFacts:
        if not self._url and program() is None and SERVER_VARIABLE in os.environ:
            self.use(os.environ[SERVER_VARIABLE])
        if not self._url:
            self._ground = Ground()
            self._setup = self._servers(self._ground)
            await self._setup.start()
        url = self.url("start")
        broker = RedisBroker(BrokerUrl.parse(url))
        profile = await broker.open()
        await broker.close()
        await self.wipe("start")
        return ServerFacts(profile.server, str(BrokerUrl.parse(self._url or url.partition("?")[0])))

    def url(self, domain: str, *, at: Address | None = None) -> str:
        if self._setup is not None:
            return self._setup.url(domain, at)
        url = self._url
        if at is not None:
            parsed = BrokerUrl.parse(url)
            url = url.replace(parsed.hosts[0], f"{at[0]}:{at[1]}", 1)
        return f"{url}{'&' if '?' in url else '?'}domain={quote(domain)}"

    async def wipe(self, domain: str) -> None:
        async with self._link(domain) as link:
            keys = [key async for key in _keys(link)]
            for first in range(0, len(keys), 1000):
                await link.call("UNLINK", *keys[first : first + 1000])

    async def stop(self) -> None:
        if self._ground is not None:
            self._ground.close()

    async def silence(self, session: Session) -> None:
        if isinstance(session, RedisSession):
            await asyncio.to_thread(session.suspend)

    async def revive(self, session: Session) -> None:
        if isinstance(session, RedisSession):
            session.resume()
            async with asyncio.timeout(_PATIENCE):
                while True:
                    try:
                        await beat(session._core.link, session.id)
                        return
                    except BrokerError:  # it was just restarted: a connection that is over, or none yet
                        await self.clock.sleep(0.01)

    async def plant(self, broker: Broker, unreadable: Unreadable) -> None:
        if isinstance(broker, RedisBroker):
            await broker.plant(unreadable)

    async def census(self, domain: str) -> Mapping[str, int]:
        """Count keys by kind. The server itself drops the records of finished tasks whose result is gone."""
        counts: Counter[str] = Counter()
        async with self._link(domain) as link:
            seconds, microseconds = await link.call("TIME")
            now = int(seconds) * 1000 + int(microseconds) // 1000
            async for key in _keys(link):
                kind = key.decode().removeprefix(link.prefix).partition(":")[0]
                if kind == "t":
                    record = await link.call("GET", key) or b"F0"
                    gone = record[:1] == b"F" and int(record[1:].split(b" ")[0]) <= now
                    kind = REMEMBERED if gone else "records"
                elif kind in ("s", "events"):  # a lane, like the log, stays: what is in it counts
                    counts["events" if kind == "events" else "entries"] += await link.call("XLEN", key)
                    continue
                counts[kind] += 1
        return counts

    async def wreck(self, domain: str) -> None:
        await self.wipe(domain)

    async def restart_server(self) -> None:
        await self._private("restart").restart()

    def pause_server(self) -> AbstractAsyncContextManager[None]:
        return self._private("stop").paused()

    def address(self) -> Address:
        return self._setup.address if self._setup is not None else super().address()

    def _servers(self, ground: Ground) -> Setup:
        # shorter than for users: cases wait for them
        parameters = {"timeout": "2", "connect_timeout": "2"}
        if self.mode == "cluster":
            return Cluster(ground, parameters=parameters)
        if self.mode == "sentinel":
            return Sentinels(ground, parameters=parameters)
        if self.mode == "always":
            return Standalone(ground, ["--appendfsync", "always"], parameters)
        return Standalone(ground, parameters=parameters | ({"protocol": "2"} if self.mode == "resp2" else {}))

    def _private(self, what: str) -> Setup:
        if self._setup is None:
            raise Unproven(
                f"the harness does not {what} a server that it has not started; give it no URL, and a redis-server:"
                f" on the path, or where {VARIABLE} says"
            )
        return self._setup

    @asynccontextmanager
    async def _link(self, domain: str) -> AsyncIterator[Link]:
        link = self._own_link(domain)
        try:
            yield link
        finally:
            await link.close()

    def _own_link(self, domain: str) -> Link:
        return Link(Settings.of(BrokerUrl.parse(self.url(domain))))


async def _keys(link: Link) -> AsyncIterator[bytes]:
    pattern = "".join(f"\\{character}" if character in "*?[]\\^" else character for character in link.prefix) + "*"
    cursor: Any = 0
    while True:
        cursor, keys = await link.call("SCAN", cursor, "MATCH", pattern, "COUNT", 1000)
        for key in keys:
            yield key
        if not int(cursor):
            return
