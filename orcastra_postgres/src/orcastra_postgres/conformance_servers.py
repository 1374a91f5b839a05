"""Private PostgreSQL servers for the harness and for tests: loopback only, a free port, a temporary directory.

They are stopped exactly as they were started, by process id, and die with the
process that started them, even if that is killed.
"""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import asyncpg

from orcastra_postgres.conformance_ground import Ground, ServerError

_READY = 20.0
"""Seconds until a server that was started must answer."""
_PATIENCE = 5.0
"""Seconds that a server has to end by itself."""
_NOT_YET = (asyncpg.CannotConnectNowError, asyncpg.ConnectionDoesNotExistError, OSError, TimeoutError)

_OPTIONS = ("max_connections=200", "max_wal_size=4GB", "max_prepared_transactions=10")


class Process:
    """A program that serves until it is stopped.

    Attributes:
        port: Where it listens, on the loopback.
        directory: Its files; ``log`` is among them.
    """

    def __init__(self, ground: Ground, directory: Path, port: int) -> None:
        self.ground = ground
        self.directory = directory
        self.port = port
        self._process: subprocess.Popen[bytes] | None = None
        ground.at_the_end(self.kill)

    @property
    def address(self) -> tuple[str, int]:
        """Where it listens."""
        return "127.0.0.1", self.port

    def url(self, user: str = "postgres", database: str = "postgres") -> str:
        """Return its URL."""
        return f"postgresql://{user}@127.0.0.1:{self.port}/{database}"

    async def client(self, **options: Any) -> Any:
        """Return a plain connection to it, to be closed."""
        given = {"user": "postgres", "database": "postgres", "timeout": _READY, "statement_cache_size": 0, **options}
        return await asyncpg.connect(host="127.0.0.1", port=self.port, **given)

    async def ask(self, query: str, *values: object, **options: Any) -> list[Any]:
        """Run one statement on a connection of its own and return its rows."""
        client = await self.client(**options)
        try:
            return list(await client.fetch(query, *values))
        finally:
            await client.close()

    def last_words(self) -> str:
        """Return the end of its log."""
        with suppress(OSError):
            return (self.directory / "log").read_text(errors="replace")[-2000:].strip()
        return ""

    def kill(self, number: signal.Signals = signal.SIGQUIT) -> None:
        """End it at once, without a checkpoint or a word to its clients, and wait for that; nothing if it does not run."""
        if self._process is None:
            return
        process, self._process = self._process, None
        children = _children(process.pid)
        process.send_signal(number)
        try:
            process.wait(_PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            for pid in children:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        self.ground.guard.forget(process.pid)

    @asynccontextmanager
    async def paused(self) -> AsyncIterator[None]:
        """Have it stand still (SIGSTOP), its connections open, for as long as the context lasts."""
        assert self._process is not None
        pids = [self._process.pid]
        os.kill(pids[0], signal.SIGSTOP)  # first of all: it starts no more processes
        try:
            for pid in _children(pids[0]):
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGSTOP)
                    pids.append(pid)
            yield
        finally:
            for pid in reversed(pids):
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGCONT)

    async def _serve(self, command: Sequence[str], *, ours: bool = False) -> None:
        """Start it and return when it answers."""
        self._process = self.ground.spawn(command, self.directory / "log", ours=ours)
        self.ground.guard.watch(self._process.pid)
        try:
            await self.ready()
        except BaseException:
            self.kill()
            raise

    async def ready(self) -> None:
        """Wait until it answers. Raises ServerError if it ends instead."""
        async with asyncio.timeout(_READY):
            while not await self._answers():
                if self._process is None or self._process.poll() is not None:
                    raise ServerError(f"it did not come up. Its last words:\n{self.last_words()}")
                await asyncio.sleep(0.005)  # noqa: TID251 - it cannot tell us that it is ready

    async def _answers(self) -> bool:
        try:
            client = await self.client(timeout=1.0)
        except _NOT_YET:
            return False
        except (asyncpg.InvalidAuthorizationSpecificationError, asyncpg.PostgresError):
            return True  # it wants to know who asks
        await client.close()
        return True


class Server(Process):
    """One PostgreSQL.

    Args:
        ground: Where it lives.
        options: For its command line: ``name=value``.
    """

    def __init__(self, ground: Ground, options: Sequence[str] = ()) -> None:
        super().__init__(ground, ground.place("server"), ground.free_port())
        self._options = options

    @classmethod
    async def fresh(cls, ground: Ground, *options: str) -> Server:
        """Start an empty one. Raises ServerError."""
        server = cls(ground, options)
        ground.data(server.directory / "data")
        await server.start()
        return server

    async def standby(self, *options: str) -> Server:
        """Start one that follows this one and can only be read until ``select pg_promote()``. Raises ServerError."""
        other = Server(self.ground, options)
        self.ground.run(
            self.ground.tool("pg_basebackup"), "--pgdata", str(other.directory / "data"), "--write-recovery-conf",
            "--checkpoint", "fast", "--no-sync", "--dbname", self.url(),
        )  # fmt: skip
        await other.start()
        return other

    async def start(self) -> None:
        """Start it, with the files it had, and return when it answers. Raises ServerError."""
        own = ["listen_addresses=127.0.0.1", f"port={self.port}", f"unix_socket_directories={self.directory}"]
        settings = [word for one in (*own, *_OPTIONS, *self._options) for word in ("-c", one)]
        await self._serve([str(self.ground.program), "-D", str(self.directory / "data"), *settings])

    async def restart(self) -> None:
        """Kill it, start it again at the same port with the files it had, and return when it answers."""
        self.kill()
        await self.start()


def _children(pid: int) -> list[int]:
    try:
        return [int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        listing = subprocess.run(["ps", "-A", "-o", "ppid=,pid="], capture_output=True, text=True, check=False).stdout
        pairs = [line.split() for line in listing.splitlines()]
        return [int(own) for parent, own in pairs if int(parent) == pid]
