"""A private PgBouncer before a private server: transaction pooling, as people run it."""

from __future__ import annotations

import signal
import sys
from collections.abc import Sequence

from orcastra_postgres import conformance_front
from orcastra_postgres.conformance_ground import BOUNCER, Ground, ServerError, bouncer
from orcastra_postgres.conformance_servers import Process, Server

_CONFIGURATION = """\
[databases]
* = host=127.0.0.1 port={server}

[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = trust
auth_file = {users}
pool_mode = transaction
default_pool_size = {pool}
max_client_conn = 500
server_login_retry = 0.1
server_round_robin = 1
admin_users = postgres
{more}
"""


class Bouncer(Process):
    """One PgBouncer.

    Args:
        ground: Where it lives.
        server: What it leads to.
        users: Who may come.
        pool: Connections of it to the server, each database and user.
        more: Lines of configuration.
    """

    def __init__(
        self, ground: Ground, server: Server, *, users: Sequence[str] = ("postgres",), pool: int = 8, more: str = ""
    ) -> None:
        found = bouncer()
        if found is None:
            raise ServerError(f"no pgbouncer: install it (apt-get install pgbouncer), or set {BOUNCER} to its path")
        super().__init__(ground, ground.place("pgbouncer"), ground.free_port())
        self._program = found
        known = self.directory / "users.txt"
        known.write_text("".join(f'"{user}" ""\n' for user in users))
        self.configuration = self.directory / "pgbouncer.ini"
        self.configuration.write_text(
            _CONFIGURATION.format(server=server.port, port=self.port, users=known, pool=pool, more=more)
        )

    async def start(self) -> None:
        """Start it and return when it answers. Raises ServerError."""
        await self._serve([self._program, str(self.configuration)])

    def kill(self, number: signal.Signals = signal.SIGKILL) -> None:
        """End it at once, and wait for that. Does nothing if it does not run."""
        super().kill(number)


class Fork(Process):
    """One address for both: see ``conformance_front``.

    Args:
        ground: Where its log is.
        bouncer: Where everybody is led.
        server: Where the user ``direct`` is led.
    """

    def __init__(self, ground: Ground, bouncer: Bouncer, server: Server) -> None:
        super().__init__(ground, ground.place("front"), ground.free_port())
        self._ports = [str(self.port), str(bouncer.port), str(server.port)]

    async def start(self) -> None:
        """Start it and return when it answers. Raises ServerError."""
        await self._serve([sys.executable, "-I", conformance_front.__file__, *self._ports], ours=True)

    def kill(self, number: signal.Signals = signal.SIGKILL) -> None:
        """End it at once, and wait for that. Does nothing if it does not run."""
        super().kill(number)
