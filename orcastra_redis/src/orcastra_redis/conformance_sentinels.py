"""The harness's master with replicas and a sentinel."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any

from redis.exceptions import RedisError

from orcastra_redis.conformance_servers import Ground, Server
from orcastra_redis.conformance_setups import READY, Setup, shown
from orcastra_redis.settings import Address

MASTER = "main"
"""What the sentinel calls the master."""


class Sentinels(Setup):
    """A master, its replicas, and a sentinel. A restart is a failover: a replica takes over, and the master comes back as one.

    Args:
        ground: As ever.
        options: As ever.
        parameters: As ever.
        replicas: How many.
        down_after: Seconds of silence after which the sentinel fails over by itself; long by default, for we do it.

    Attributes:
        sentinel: The sentinel. Among ``servers`` the master is the first.
    """

    sentinel: Server

    def __init__(
        self,
        ground: Ground,
        options: Sequence[str] = (),
        parameters: Mapping[str, str] | None = None,
        *,
        replicas: int = 1,
        down_after: float = 10.0,
    ) -> None:
        super().__init__(ground, options, parameters)
        self._replicas = replicas
        self._down_after = down_after

    async def start(self) -> None:
        # diskless, a replica counts as online up to a second before it is sent anything
        options = (*self.options, "--repl-diskless-sync", "no")
        master = await self.ground.server(*options)
        following = ("--replicaof", "127.0.0.1", str(master.port))
        self.servers = [master, *[await self.ground.server(*options, *following) for _ in range(self._replicas)]]
        self.sentinel = await self.ground.sentinel(
            f"sentinel monitor {MASTER} 127.0.0.1 {master.port} 1",
            f"sentinel down-after-milliseconds {MASTER} {self._down_after * 1000:.0f}",
            f"sentinel failover-timeout {MASTER} 2000",
        )
        await self.in_step()

    def url(self, domain: str, at: Address | None = None) -> str:
        nat = {"nat": f"{shown(self.address)}={shown(at)}"} if at is not None else {}
        return f"redis://{shown(self.sentinel.address)}/0?{self.query(domain, sentinel=MASTER, **nat)}"

    async def restart(self) -> None:
        await self.in_step()
        old, *others = self.servers
        old.kill()
        async with asyncio.timeout(READY):
            async with self.sentinel.client() as client:
                await client.execute_command("SENTINEL", "FAILOVER", MASTER)
            port = old.port
            while port == old.port:
                port = await self.master_port()
                await asyncio.sleep(0.01)  # noqa: TID251 - it cannot tell us
        await old.start()
        async with old.client() as client:
            await client.execute_command("REPLICAOF", "127.0.0.1", port)
        self.servers = sorted([*others, old], key=lambda server: server.port != port)

    @asynccontextmanager
    async def paused(self) -> AsyncIterator[None]:
        async with self.sentinel.paused(), super().paused():
            yield

    async def master_port(self) -> int:
        """Return the port of the server that the sentinel names as the master."""
        async with self.sentinel.client() as client:
            _, port = await client.execute_command("SENTINEL", "GET-MASTER-ADDR-BY-NAME", MASTER)
        return int(port)

    async def in_step(self) -> None:
        """Wait until the replicas have all that the master confirmed, and the sentinel knows them."""
        async with asyncio.timeout(READY):
            for replica in self.servers[1:]:
                while not await self._follows(replica):  # noqa: ASYNC110 - they cannot tell us
                    await asyncio.sleep(0.01)  # noqa: TID251 - as above

    async def _follows(self, replica: Server) -> bool:
        async with self.servers[0].client() as ours, replica.client() as its, self.sentinel.client() as who:
            with suppress(RedisError):
                theirs, mine = await its.info("replication"), await ours.info("replication")
                known = await who.execute_command("SENTINEL", "REPLICAS", MASTER)
                fit = sum(_fit(one) for one in known) >= self._replicas
                seen = {
                    facts["port"]
                    for facts in mine.values()
                    if isinstance(facts, dict) and facts.get("state") == "online"
                }
                up = theirs.get("master_link_status") == "up" and replica.port in seen
                return fit and up and bool(theirs["slave_repl_offset"] == mine["master_repl_offset"])
        return False


def _fit(replica: Any) -> bool:
    """Whether the sentinel would make a replica the master."""
    facts = replica if isinstance(replica, dict) else dict(zip(replica[::2], replica[1::2], strict=True))
    return (facts[b"flags"], facts[b"master-link-status"]) == (b"slave", b"ok")
