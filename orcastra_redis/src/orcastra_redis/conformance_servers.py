"""Private redis-server processes for the harness and for tests: loopback only, a free port, a temporary directory.

They are stopped exactly as they were started, by process id, and die with the
process that started them, even if that is killed.
"""

from __future__ import annotations

import asyncio
import os
import random
import shutil
import signal
import subprocess
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import AuthenticationError, NoPermissionError, RedisError

from orcastra_core.liveness.private_servers import ProcessGuard, is_free

VARIABLE = "ORCASTRA_REDIS_SERVER"

_PORTS = range(10_000, 22_000)
"""Below those that the system gives to outgoing connections: a client that dials a port where nobody listens may else
be given that very port, and connect to itself. A cluster's bus is 10,000 higher."""
_READY = 20.0
"""Seconds until a server that was started must answer."""


class ServerError(Exception):
    """A server cannot be had; the message says what to do."""


def program() -> str | None:
    """Return the path of redis-server: what the environment's ORCASTRA_REDIS_SERVER names, else one on PATH, if any."""
    return os.environ.get(VARIABLE) or shutil.which("redis-server")


class Ground:
    """Where private servers live: a directory, and who ends them should we die. Close it."""

    def __init__(self) -> None:
        found = program()
        if found is None:
            raise ServerError(
                f"no redis-server: install it (apt-get install redis-server), or set {VARIABLE} to its path"
            )
        self.program = found
        self.directory = Path(tempfile.mkdtemp(prefix="orcastra-redis-"))
        self._servers: list[Server] = []
        self.guard = ProcessGuard(self.directory)

    async def server(self, *options: str, port: int | None = None) -> Server:
        """Start one more server and wait until it answers. Raises ServerError."""
        port = port or self.free_port()
        directory = self.directory / str(port)
        directory.mkdir()
        command = [
            self.program, "--bind", "127.0.0.1", "--port", str(port), "--dir", str(directory),
            "--unixsocket", str(directory / "socket"), "--daemonize", "no", "--save", "",
            "--appendonly", "yes", "--appendfsync", "everysec", *options,
        ]  # fmt: skip
        server = Server(self, port, directory, command)
        self._servers.append(server)
        await server.start()
        return server

    async def sentinel(self, *lines: str) -> Server:
        """Start a sentinel with these lines of configuration and wait until it answers. Raises ServerError."""
        port = self.free_port()
        directory = self.directory / str(port)
        directory.mkdir()
        configuration = directory / "sentinel.conf"
        configuration.write_text("\n".join(["bind 127.0.0.1", f"port {port}", f"dir {directory}", *lines, ""]))
        server = Server(self, port, directory, [self.program, str(configuration), "--sentinel"])
        self._servers.append(server)
        await server.start()
        return server

    def free_port(self) -> int:
        """Return a port at which nobody listens, nor at the one 10,000 above."""
        taken = {server.port for server in self._servers}
        for port in random.sample(_PORTS, 1000):
            if port not in taken and is_free(port) and is_free(port + 10_000):
                return port
        raise ServerError("no free port found")

    def close(self) -> None:
        """Stop all servers and remove the directory. Idempotent."""
        for server in self._servers:
            server.kill()
        self.guard.close()


class Server:
    """One redis-server.

    Attributes:
        port: Where it listens, on the loopback.
        directory: Its files; ``log`` is among them, and ``socket``, a Unix socket.
    """

    def __init__(self, ground: Ground, port: int, directory: Path, command: Sequence[str]) -> None:
        self.port = port
        self.directory = directory
        self._ground = ground
        self._command = command
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def address(self) -> tuple[str, int]:
        """Where it listens."""
        return "127.0.0.1", self.port

    @property
    def url(self) -> str:
        """Its URL, of database 0."""
        return f"redis://127.0.0.1:{self.port}/0"

    def client(self, **options: Any) -> Any:
        """Return a plain client of it, to be closed: ``async with server.client() as client``."""
        options = {"socket_timeout": _READY, "retry": Retry(NoBackoff(), 0), **options}
        return Redis(host="127.0.0.1", port=self.port, **options)

    async def start(self) -> None:
        """Start it, with the files it had, and return when it answers. Raises ServerError."""
        async with asyncio.timeout(_READY):
            while True:
                self._spawn()
                if await self._comes_up():
                    return
                if "already in use" not in self.last_words():
                    raise ServerError(f"{self._command[0]} did not come up. Its last words:\n{self.last_words()}")

    def last_words(self) -> str:
        """Return the end of its log."""
        with suppress(OSError):
            return (self.directory / "log").read_text(errors="replace")[-2000:].strip()
        return ""

    def kill(self) -> None:
        """End it at once (SIGKILL), and wait for that. Does nothing if it does not run."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._ground.guard.forget(self._process.pid)
            self._process = None

    async def restart(self) -> None:
        """Kill it, start it again at the same port with the files it had, and return when it answers."""
        self.kill()
        await self.start()

    @asynccontextmanager
    async def paused(self) -> AsyncIterator[None]:
        """Have it stand still (SIGSTOP), its connections open, for as long as the context lasts."""
        assert self._process is not None
        process = self._process
        process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            process.send_signal(signal.SIGCONT)

    async def settled(self) -> None:
        """Wait until what it confirmed is in the kernel's hands.

        With ``appendfsync everysec`` it keeps back what it writes while an earlier flush to the disk is under way, for up to 2 s.
        """
        async with self.client() as client:
            while True:
                facts = await client.info("persistence")
                if not facts.get("aof_pending_bio_fsync") and not facts.get("aof_buffer_length"):
                    return
                await asyncio.sleep(0.005)  # noqa: TID251 - it cannot tell us

    def _spawn(self) -> None:
        with (self.directory / "log").open("wb") as log:
            self._process = subprocess.Popen(
                self._command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=self.directory,
                start_new_session=True,  # Ctrl-C is for us: who started it stops it
            )
        self._ground.guard.watch(self._process.pid)

    async def _comes_up(self) -> bool:
        assert self._process is not None
        client = self.client(socket_timeout=1.0)
        try:
            while self._process.poll() is None:
                try:
                    await client.ping()
                except (AuthenticationError, NoPermissionError):
                    return True  # it wants to know who asks
                except RedisError:
                    await asyncio.sleep(0.005)  # noqa: TID251 - it cannot tell us that it is ready
                else:
                    return True
        finally:
            await client.aclose()
        self.kill()
        return False
