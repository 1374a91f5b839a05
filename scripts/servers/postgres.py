"""PostgreSQL: a cluster of its own, made by initdb, as safe as a real one (fsync stays on)."""

from __future__ import annotations

import signal
import socket
import struct
from collections.abc import Mapping, Sequence
from pathlib import Path
from urllib.parse import unquote, urlsplit

from servers.service import Companion

_TIMEOUT = 2.0  # seconds
_PROTOCOL = 196608  # 3.0
_STARTING = b"57P03"  # cannot_connect_now: it starts, stops, or recovers from a crash


class Postgres:
    """A ``Service``."""

    name = "postgres"
    variable = "ORCASTRA_TEST_POSTGRES_URL"
    program = "postgres"
    folders: Sequence[str] = ("usr/lib/postgresql/*/bin", "usr/pgsql-*/bin", "opt/homebrew/opt/postgresql*/bin")
    accounts: Sequence[str] | None = ("postgres",)
    stop_signal = signal.SIGINT  # «fast»: SIGTERM would wait for clients to leave
    companions: Sequence[Companion] = (Companion("ORCASTRA_PGBOUNCER", "pgbouncer", "pgbouncer"),)
    program_variable = "ORCASTRA_POSTGRES_SERVER"
    package = "postgresql"
    image = "postgres:17"
    container_port = 5432
    remedy = (
        "Install it (Debian, Ubuntu: sudo apt-get install postgresql; macOS: brew install postgresql), "
        "or start Docker, or set ORCASTRA_TEST_POSTGRES_URL=postgresql://user:password@host:port/database"
    )

    def preparation(self, program: Path, directory: Path) -> Sequence[str]:
        return [
            str(program.resolve().with_name("initdb")), "--pgdata", str(directory / "data"), "--username", "postgres",
            "--auth", "trust", "--encoding", "UTF8", "--locale", "C", "--no-sync",
        ]  # fmt: skip

    def command(self, program: Path, port: int, directory: Path) -> Sequence[str]:
        own = ["listen_addresses=127.0.0.1", f"port={port}", f"unix_socket_directories={directory}"]
        return [str(program), "-D", str(directory / "data"), *_settings(*own, *self._options())]

    def container_arguments(self) -> Sequence[str]:
        return _settings(*self._options())

    def container_environment(self) -> Mapping[str, str]:
        return {"POSTGRES_HOST_AUTH_METHOD": "trust"}

    def _options(self) -> Sequence[str]:
        return ["max_connections=200", "shared_buffers=256MB", "max_wal_size=4GB"]

    def url(self, port: int) -> str:
        return f"postgresql://postgres@127.0.0.1:{port}/postgres"

    def answers(self, url: str) -> bool:
        try:
            return _answers(url)
        except (OSError, ValueError):
            return False


def _settings(*settings: str) -> Sequence[str]:
    return [word for setting in settings for word in ("-c", setting)]


def _answers(url: str) -> bool:
    """Begin a login: any answer but «not now» will do, a refusal too, for the tests may know how to get in."""
    parts = urlsplit(url)
    words = {"user": unquote(parts.username or "postgres"), "database": unquote(parts.path[1:]) or "postgres"}
    body = struct.pack("!i", _PROTOCOL) + b"".join(f"{key}\0{value}\0".encode() for key, value in words.items()) + b"\0"
    with socket.create_connection((parts.hostname or "127.0.0.1", parts.port or 5432), timeout=_TIMEOUT) as connection:
        connection.sendall(struct.pack("!i", len(body) + 4) + body)
        answer = connection.recv(1024)
        if answer[:1] != b"E":
            return answer[:1] == b"R"
        return b"C" + _STARTING not in answer.split(b"\0")
