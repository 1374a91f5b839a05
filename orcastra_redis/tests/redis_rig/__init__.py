"""What this dist's tests share beside ``server_rig``."""

from collections.abc import Awaitable, Callable

from orcastra_redis import RedisBroker
from orcastra_redis.conformance_sentinels import Sentinels
from orcastra_redis.conformance_servers import Server

Open = Callable[..., Awaitable[RedisBroker]]
"""Opens a broker by URL, or on the test's own server."""


async def names(setup: Sentinels, server: Server) -> bool:
    """Whether the sentinel names a server as the master by now."""
    return await setup.master_port() == server.port
