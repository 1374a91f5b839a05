"""The ways in which the harness sets Redis up: one server, a cluster, a master with sentinels."""

from __future__ import annotations

import asyncio
import binascii
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from urllib.parse import quote

from redis.exceptions import RedisError

from orcastra_core.model.broker_url import BrokerUrl
from orcastra_redis.conformance_servers import Ground, Server
from orcastra_redis.settings import Address, Settings

_SLOTS = 16384
_NODES = 3
MASTER = "main"
"""What the sentinel calls the master."""
_READY = 20.0


class Setup(ABC):
    """Servers that run, private to us.

    Args:
        ground: Where they live.
        options: For each server's command line.
        parameters: For each URL.
    """

    def __init__(
        self, ground: Ground, options: Sequence[str] = (), parameters: Mapping[str, str] | None = None
    ) -> None:
        self.ground = ground
        self.options = options
        self.parameters = parameters or {}
        self.servers: list[Server] = []

    @abstractmethod
    async def start(self) -> None:
        """Start them all, and return when they are ready."""

    @abstractmethod
    def url(self, domain: str, at: Address | None = None) -> str:
        """Return a domain's URL; with ``at``, one that leads there instead of to the server that has the domain."""

    @property
    def address(self) -> Address:
        """Where the server listens that has the domains."""
        return self.servers[0].address

    async def restart(self) -> None:
        """Kill what has the domains, and return when they can be used again."""
        for server in self.servers:
            await server.settled()
        for server in self.servers:
            server.kill()
        for server in self.servers:
            await server.start()

    @asynccontextmanager
    async def paused(self) -> AsyncIterator[None]:
        """Have all of them stand still."""
        async with AsyncExitStack() as stack:
            for server in self.servers:
                await stack.enter_async_context(server.paused())
            yield

    def _query(self, domain: str, **more: str) -> str:
        pairs = {**self.parameters, **more, "domain": domain}
        return "&".join(f"{name}={quote(text, safe=':=,')}" for name, text in pairs.items())


class Standalone(Setup):
    """One server."""

    async def start(self) -> None:
        self.servers = [await self.ground.server(*self.options)]

    def url(self, domain: str, at: Address | None = None) -> str:
        return f"redis://{_host(at or self.address)}/0?{self._query(domain)}"


class Cluster(Setup):
    """Three masters that share the slots. The domains, as it names them, are all with the first, for a proxy to stand before it."""

    async def start(self) -> None:
        self.servers = [
            await self.ground.server(*self.options, "--cluster-enabled", "yes", "--cluster-config-file", "nodes.conf")
            for _ in range(_NODES)
        ]
        for number, server in enumerate(self.servers):
            async with server.client() as client:
                first, last = _range(number)
                await client.execute_command("CLUSTER", "ADDSLOTS", *range(first, last + 1))
                for other in self.servers[:number]:
                    await client.execute_command("CLUSTER", "MEET", *other.address)
        await self._whole()

    async def restart(self) -> None:
        await super().restart()
        await self._whole()

    def url(self, domain: str, at: Address | None = None) -> str:
        # the others first: they say where it is
        seeds = [at] if at is not None else [server.address for server in reversed(self.servers)]
        nat = {"nat": f"{_host(self.address)}={_host(at)}"} if at is not None else {}
        return f"redis://{','.join(map(_host, seeds))}/?{self._query(on_first(domain), cluster='1', **nat)}"

    async def _whole(self) -> None:
        async with asyncio.timeout(_READY):
            for server in self.servers:
                async with server.client() as client:
                    while True:
                        facts = await client.execute_command("CLUSTER", "INFO")
                        known = await client.execute_command("CLUSTER", "SLOTS")
                        if b"cluster_state:ok" in facts and len(known) == _NODES:
                            break
                        await asyncio.sleep(0.01)  # noqa: TID251 - it cannot tell us


class Sentinels(Setup):
    """A master, its replica, and a sentinel. A restart is a failover: the replica takes over, and the master comes back as one.

    Args:
        ground: As ever.
        options: As ever.
        parameters: As ever.
        down_after: Seconds of silence after which the sentinel fails over by itself; long by default, for we do it.
    """

    def __init__(
        self,
        ground: Ground,
        options: Sequence[str] = (),
        parameters: Mapping[str, str] | None = None,
        *,
        down_after: float = 10.0,
    ) -> None:
        super().__init__(ground, options, parameters)
        self._down_after = down_after

    async def start(self) -> None:
        options = (*self.options, "--repl-diskless-sync-delay", "0")
        master = await self.ground.server(*options)
        replica = await self.ground.server(*options, "--replicaof", "127.0.0.1", str(master.port))
        self.servers = [master, replica]
        self._sentinel = await self.ground.sentinel(
            f"sentinel monitor {MASTER} 127.0.0.1 {master.port} 1",
            f"sentinel down-after-milliseconds {MASTER} {self._down_after * 1000:.0f}",
            f"sentinel failover-timeout {MASTER} 10000",
        )
        await self.in_step()

    @property
    def sentinel(self) -> Server:
        """The sentinel."""
        return self._sentinel

    def url(self, domain: str, at: Address | None = None) -> str:
        nat = {"nat": f"{_host(self.address)}={_host(at)}"} if at is not None else {}
        return f"redis://{_host(self._sentinel.address)}/0?{self._query(domain, sentinel=MASTER, **nat)}"

    async def restart(self) -> None:
        await self.in_step()
        old, new = self.servers
        old.kill()
        async with asyncio.timeout(_READY), self._sentinel.client() as client:
            await client.execute_command("SENTINEL", "FAILOVER", MASTER)
            while True:
                _, port = await client.execute_command("SENTINEL", "GET-MASTER-ADDR-BY-NAME", MASTER)
                if int(port) == new.port:
                    break
                await asyncio.sleep(0.01)  # noqa: TID251 - it cannot tell us
        await old.start()
        async with old.client() as client:
            await client.execute_command("REPLICAOF", *new.address)
        self.servers = [new, old]

    @asynccontextmanager
    async def paused(self) -> AsyncIterator[None]:
        async with self._sentinel.paused(), super().paused():
            yield

    async def in_step(self) -> None:
        """Wait until the replica has all that the master confirmed, and the sentinel knows the replica."""
        master, replica = self.servers
        async with (
            asyncio.timeout(_READY),
            master.client() as ours,
            replica.client() as its,
            self._sentinel.client() as who,
        ):
            while True:
                theirs, mine = await its.info("replication"), await ours.info("replication")
                with suppress(RedisError):
                    known = await who.execute_command("SENTINEL", "REPLICAS", MASTER)
                    link = theirs.get("master_link_status") == "up"
                    if link and known and theirs["slave_repl_offset"] == mine["master_repl_offset"]:
                        return
                await asyncio.sleep(0.01)  # noqa: TID251 - they cannot tell us


def _host(address: Address) -> str:
    return f"{address[0]}:{address[1]}"


def _range(number: int) -> tuple[int, int]:
    return number * _SLOTS // _NODES, (number + 1) * _SLOTS // _NODES - 1


def on_first(domain: str) -> str:
    """Return the domain's name with what makes its slot one of the first node's."""
    number = 0
    while True:
        name = f"{domain}.{number}"
        tag = Settings.of(BrokerUrl.parse(f"redis:///0?domain={quote(name)}")).prefix[1:-2]
        if binascii.crc_hqx(tag.encode(), 0) % _SLOTS <= _range(0)[1]:
            return name
        number += 1
