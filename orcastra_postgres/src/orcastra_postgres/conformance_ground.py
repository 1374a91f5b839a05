"""Where the private servers of the harness and of tests live: a directory, an account, and who ends them should we die.

PostgreSQL and PgBouncer refuse to run as root. Where we are root they run as ``postgres``, or as ``nobody``.
"""

from __future__ import annotations

import os
import pwd
import random
import re
import shutil
import stat
import subprocess
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from orcastra_core.liveness.private_servers import ProcessGuard, is_free

SERVER = "ORCASTRA_POSTGRES_SERVER"
BOUNCER = "ORCASTRA_PGBOUNCER"

_FOLDERS = ("usr/lib/postgresql/*/bin", "usr/pgsql-*/bin", "opt/homebrew/opt/postgresql*/bin")
"""Where distributions keep what they do not put on the path."""
_PLACES = ("/var/tmp", "/dev/shm")  # noqa: S108 - only where the temporary directory is closed to others
_MEMORY = Path("/dev/shm")  # noqa: S108 - a directory of our own in it
"""Preferred where there is room: what is flushed there waits for no disk, and a server's thousand files are gone at once."""
_ROOM = 4 << 30
"""Bytes that have to be free there: several runs side by side take a gigabyte."""
_PORTS = range(10_000, 32_000)
"""Below those that the system gives to outgoing connections: a client that dials a port where nobody listens may else
be given that very port, and connect to itself."""


class ServerError(Exception):
    """A server cannot be had; the message says what to do."""


def program() -> str | None:
    """Return the path of ``postgres``: what ORCASTRA_POSTGRES_SERVER names, else one on PATH or where Debian has it."""
    return os.environ.get(SERVER) or shutil.which("postgres") or _newest()


def bouncer() -> str | None:
    """Return the path of ``pgbouncer``: what the environment's ORCASTRA_PGBOUNCER names, else one on PATH, if any."""
    sbin = f"{os.environ.get('PATH', '')}{os.pathsep}/usr/sbin"
    return os.environ.get(BOUNCER) or shutil.which("pgbouncer", path=sbin)


def _newest() -> str | None:
    for folder in _FOLDERS:
        found = [path for path in Path("/").glob(f"{folder}/postgres") if os.access(path, os.X_OK)]
        if found:
            return str(max(found, key=lambda path: [int(number) for number in re.findall(r"\d+", str(path))]))
    return None


class Ground:
    """Where private servers live. Close it.

    Attributes:
        directory: All their files.
        program: The path of ``postgres``.
        guard: Ends what of them is left should we die.

    Raises:
        ServerError: There is no program, or nobody to run it.
    """

    def __init__(self) -> None:
        found = program()
        if found is None:
            raise ServerError(
                f"no postgres: install PostgreSQL (apt-get install postgresql), or set {SERVER} to the path of postgres"
            )
        self.program = Path(found)
        self._account = _account()
        self.directory = _directory(self._account)
        self._template: Path | None = None
        self._ending: list[Callable[[], None]] = []
        self._given: set[int] = set()
        self.guard = ProcessGuard(self.directory)

    def tool(self, name: str) -> str:
        """Return the path of a program that comes with ``postgres``."""
        beside = self.program.with_name(name)
        return str(beside if beside.exists() else self.program.resolve().with_name(name))

    def place(self, name: str) -> Path:
        """Return a fresh directory for a server's files, which belongs to who runs it."""
        path = Path(tempfile.mkdtemp(prefix=f"{name}-", dir=self.directory))
        self.give(path)
        return path

    def give(self, path: Path) -> None:
        """Make a file or a directory that of who runs the servers."""
        if self._account is not None:
            os.chown(path, *self._account)

    def data(self, where: Path) -> None:
        """Make ``where`` the data of a fresh server: initdb runs once, the rest are copies."""
        if self._template is None:
            template = self.place("template") / "data"
            self.run(
                self.tool("initdb"), "--pgdata", str(template), "--username", "postgres", "--auth", "trust",
                "--encoding", "UTF8", "--locale", "C", "--no-sync",
            )  # fmt: skip
            self._template = template
        self.run("cp", "-R", "-p", str(self._template), str(where))

    def run(self, *command: str) -> None:
        """Run a command to its end as who runs the servers. Raises ServerError with its last words."""
        process = self.spawn(command, self.directory / "commands.log")
        if process.wait() != 0:
            words = (self.directory / "commands.log").read_text(errors="replace")[-2000:].strip()
            raise ServerError(f"{command[0]} failed. Its last words:\n{words}")

    def spawn(
        self, command: Sequence[str], log: Path, environment: Mapping[str, str] | None = None, *, ours: bool = False
    ) -> subprocess.Popen[bytes]:
        """Start a program as who runs the servers, or as who we are, what it says going to ``log``."""
        account = None if ours else self._account
        with log.open("wb") as output:
            return subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env={**os.environ, **(environment or {})},
                cwd=self.directory,
                start_new_session=True,  # Ctrl-C is for us: who started it stops it
                user=None if account is None else account[0],
                group=None if account is None else account[1],
                extra_groups=None if account is None else [],
            )

    def free_port(self) -> int:
        """Return a port at which nobody listens, another one each time."""
        for port in random.sample(_PORTS, 1000):
            if port not in self._given and is_free(port):
                self._given.add(port)
                return port
        raise ServerError("no free port found")

    def at_the_end(self, stop: Callable[[], None]) -> None:
        """Have this called when the ground is closed."""
        self._ending.append(stop)

    def close(self) -> None:
        """Stop all servers and remove the directory. Idempotent."""
        while self._ending:
            self._ending.pop()()
        self.guard.close()


def _account() -> tuple[int, int] | None:
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        if entry.pw_uid != 0:
            return entry.pw_uid, entry.pw_gid
    raise ServerError("PostgreSQL does not run as root, and there is no account postgres or nobody to run it")


def _directory(account: tuple[int, int] | None) -> Path:
    for place in (*_in_memory(), tempfile.gettempdir(), *_PLACES):
        if account is None or _open_to_all(Path(place)):
            directory = Path(tempfile.mkdtemp(prefix="orcastra-postgres-", dir=place))
            if account is not None:
                os.chown(directory, *account)
            return directory
    raise ServerError(f"no directory that another account can reach; set TMPDIR to one (tried {' '.join(_PLACES)})")


def _in_memory() -> list[str]:
    if "TMPDIR" in os.environ or not _MEMORY.is_dir():
        return []
    there = os.statvfs(_MEMORY)
    return [str(_MEMORY)] if there.f_bavail * there.f_frsize >= _ROOM and os.access(_MEMORY, os.W_OK) else []


def _open_to_all(place: Path) -> bool:
    try:
        there = place.resolve(strict=True)
        return os.access(there, os.W_OK) and all(one.stat().st_mode & stat.S_IXOTH for one in (there, *there.parents))
    except OSError:
        return False
