"""Which server to talk to, where it may be another one tomorrow: the node that has the domain's slot, or the master that sentinels name."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any

from redis.exceptions import ConnectionError as NoConnection
from redis.exceptions import MovedError, ResponseError

from orcastra_redis.clients import connect, connect_sentinel
from orcastra_redis.errors import CLIENT_ERRORS
from orcastra_redis.settings import Address, Settings

_HOPS = 5
"""Redirections followed in one search."""


class Route:
    """Finds the server of a domain, again after each change.

    All keys of a domain share a slot: on a cluster, too, one node has all of them, and one plain client is enough.

    Args:
        settings: From the URL; its hosts are the ones asked first.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._known = list(settings.hosts)

    async def find(self, first: Address | None = None) -> Any:
        """Return a client of the server that has the domain now.

        Args:
            first: Who is said to have it; asked before all others.

        Raises:
            RedisError: Nobody who could be asked knows; or OSError, TimeoutError.
        """
        asked: list[Address] = []
        failure: Exception | None = None
        waiting = [*([first] if first is not None else []), *self._known]
        patience = self._settings.connect_timeout / max(2, len(self._known))
        while waiting and len(asked) < len(self._known) + _HOPS:
            address = waiting.pop(0)
            if address in asked:
                continue
            asked.append(address)
            try:
                async with asyncio.timeout(patience):
                    if self._settings.sentinel is not None:
                        return await self._ask_sentinel(address)
                    return await self._ask_node(address)
            except MovedError as moved:
                waiting.insert(0, self.named(moved.host or address[0], moved.port))
            except CLIENT_ERRORS as error:
                failure = error
        raise failure or NoConnection("they send each other the question")

    def named(self, host: str, port: int) -> Address:
        """Return where a server is reached that is known to the others under this name."""
        return self._settings.nat.get((host, port), (host, port))

    async def _ask_node(self, address: Address) -> Any:
        client = connect(self._settings, address)
        try:
            await client.execute_command("EXISTS", f"{self._settings.prefix}meta")
            await self._learn(client)
        except BaseException:
            await client.aclose()
            raise
        return client

    async def _learn(self, client: Any) -> None:
        """Note the other nodes, for the day when this one is gone."""
        with suppress(ResponseError):  # a user who may not ask
            slots = await client.execute_command("CLUSTER", "SLOTS")
            nodes = [self.named(node[0].decode(), int(node[1])) for part in slots for node in part[2:] if node[0]]
            self._known = list(dict.fromkeys([*nodes, *self._settings.hosts]))

    async def _ask_sentinel(self, address: Address) -> Any:
        async with connect_sentinel(self._settings, address) as sentinel:
            said = await sentinel.execute_command("SENTINEL", "GET-MASTER-ADDR-BY-NAME", self._settings.sentinel)
        if said is None:
            raise NoConnection(f"the sentinel at {address[0]}:{address[1]} knows no {self._settings.sentinel!r}")
        client = connect(self._settings, self.named(said[0].decode(), int(said[1])))
        try:
            await client.execute_command("PING")
        except BaseException:
            await client.aclose()
            raise
        return client
