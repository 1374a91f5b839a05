"""Redis: one process, nothing saved."""

from __future__ import annotations

import signal
import socket
from collections.abc import Mapping, Sequence
from pathlib import Path
from urllib.parse import unquote, urlsplit

from servers.service import Companion

_TIMEOUT = 2.0  # seconds


class Redis:
    """A ``Service``."""

    name = "redis"
    variable = "ORCASTRA_TEST_REDIS_URL"
    program = "redis-server"
    folders: Sequence[str] = ()
    accounts: Sequence[str] | None = None
    stop_signal = signal.SIGTERM
    companions: Sequence[Companion] = ()
    program_variable = "ORCASTRA_REDIS_SERVER"
    package = "redis-server"
    image = "redis:7"
    container_port = 6379
    remedy = (
        "Install redis-server (Debian, Ubuntu: sudo apt-get install redis-server; macOS: brew install redis), "
        "or start Docker, or set ORCASTRA_TEST_REDIS_URL=redis://host:port/0"
    )

    def preparation(self, program: Path, directory: Path) -> Sequence[str]:
        return []

    def command(self, program: Path, port: int, directory: Path) -> Sequence[str]:
        return [str(program), *self._options(), "--bind", "127.0.0.1", "--port", str(port), "--dir", str(directory)]

    def container_arguments(self) -> Sequence[str]:
        # Inside, its clients come from another address; outside, the port is on loopback only.
        return ["redis-server", *self._options(), "--protected-mode", "no"]

    def container_environment(self) -> Mapping[str, str]:
        return {}

    def _options(self) -> Sequence[str]:
        return ["--daemonize", "no", "--save", "", "--appendonly", "no"]

    def url(self, port: int) -> str:
        return f"redis://127.0.0.1:{port}/0"

    def answers(self, url: str) -> bool:
        try:
            return _ping(url)
        except (OSError, ValueError):
            return False


def _ping(url: str) -> bool:
    parts = urlsplit(url)
    with _connect(parts.scheme, parts.hostname or "127.0.0.1", parts.port or 6379, parts.path) as connection:
        if parts.scheme == "rediss":
            return True  # it listens; the certificates are between the tests and the server
        connection.settimeout(_TIMEOUT)
        reader = connection.makefile("rb")
        if parts.password:
            user = [unquote(parts.username)] if parts.username else []
            connection.sendall(_request("AUTH", *user, unquote(parts.password)))
            if not reader.readline().startswith(b"+OK"):
                return False
        connection.sendall(_request("PING"))
        return reader.readline().startswith(b"+PONG")


def _connect(scheme: str, host: str, port: int, path: str) -> socket.socket:
    if scheme != "unix":
        return socket.create_connection((host, port), timeout=_TIMEOUT)
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    connection.settimeout(_TIMEOUT)
    connection.connect(path)
    return connection


def _request(*words: str) -> bytes:
    encoded = [word.encode() for word in words]
    return b"*%d\r\n" % len(encoded) + b"".join(b"$%d\r\n%s\r\n" % (len(word), word) for word in encoded)
