"""The ways in which the harness sets Redis up: one server, or a cluster."""

from __future__ import annotations

import asyncio
import binascii
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from urllib.parse import quote

from orcastra_core.model.broker_url import BrokerUrl
from orcastra_redis.conformance_servers import Ground, Server
from orcastra_redis.settings import Address, Settings

_SLOTS = 16384
_NODES = 3
READY = 20.0
"""Seconds that servers get to be ready."""


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

    def query(self, domain: str, **more: str) -> str:
        """Return what follows the question mark in a URL."""
        pairs = {**self.parameters, **more, "domain": domain}
        return "&".join(f"{name}={quote(text, safe=':=,')}" for name, text in pairs.items())


class Standalone(Setup):
    """One server."""

    async def start(self) -> None:
        self.servers = [await self.ground.server(*self.options)]

    def url(self, domain: str, at: Address | None = None) -> str:
        return f"redis://{shown(at or self.address)}/0?{self.query(domain)}"


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
        nat = {"nat": f"{shown(self.address)}={shown(at)}"} if at is not None else {}
        return f"redis://{','.join(map(shown, seeds))}/?{self.query(on_first(domain), cluster='1', **nat)}"

    async def _whole(self) -> None:
        async with asyncio.timeout(READY):
            for server in self.servers:
                async with server.client() as client:
                    while True:
                        facts = await client.execute_command("CLUSTER", "INFO")
                        known = await client.execute_command("CLUSTER", "SLOTS")
                        if b"cluster_state:ok" in facts and len(known) == _NODES:
                            break
                        await asyncio.sleep(0.01)  # noqa: TID251 - it cannot tell us


def shown(address: Address) -> str:
    """Return an address as text."""
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
