"""The record of what was started: a directory of this user and this checkout, with a file of JSON under a lock."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import signal
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from servers import docker
from servers.processes import Process
from servers.service import ServerError


@dataclass(frozen=True)
class Running:
    """A server that we started: a process or a container, and the directory that goes with it."""

    name: str
    url: str
    directory: str
    process: Process | None = None
    container: str | None = None
    owner: Process | None = None
    """The `run` command that it belongs to; None: it was started by `up` and stays until `down`."""
    program: str | None = None
    """The binary that runs, if it is a process."""
    stop_signal: int = signal.SIGTERM
    """What ends the process in good order."""

    def alive(self) -> bool:
        if self.container is not None:
            return docker.runs(self.container)
        return self.process is not None and self.process.alive()

    def abandoned(self) -> bool:
        """Whether nobody will stop it but `down`."""
        return self.owner is None or not self.owner.alive()

    def stop(self) -> None:
        if self.container is not None:
            docker.remove(self.container)
        if self.process is not None:
            self.process.stop(signal.Signals(self.stop_signal))
        shutil.rmtree(self.directory, ignore_errors=True)


class State:
    """What is running, as the state file has it. Every change is written at once."""

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            entries = json.loads(path.read_text())
        except FileNotFoundError:
            entries = []
        self._running = [_decode(entry) for entry in entries]

    def __iter__(self) -> Iterator[Running]:
        return iter(list(self._running))

    def shared(self, name: str) -> Running | None:
        """The one that `up` started."""
        return next((one for one in self._running if one.name == name and one.owner is None), None)

    def add(self, one: Running) -> None:
        self._running.append(one)
        self._write()

    def remove(self, one: Running) -> None:
        self._running.remove(one)
        self._write()

    def _write(self) -> None:
        fresh = self._path.with_suffix(".new")
        fresh.write_text(json.dumps([asdict(one) for one in self._running], indent=1))
        fresh.replace(self._path)


@contextmanager
def locked_state() -> Iterator[State]:
    """The state, for one command at a time."""
    home = _home()
    with (home / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield State(home / "state.json")


def new_directory(name: str) -> Path:
    """A fresh directory for a server's files, readable by this user only."""
    return Path(tempfile.mkdtemp(prefix=f"{name}-", dir=_home()))


def _home() -> Path:
    checkout = hashlib.sha256(str(Path(__file__).resolve().parents[2]).encode()).hexdigest()[:12]
    home = Path(tempfile.gettempdir()) / f"orcastra-services-{os.getuid()}-{checkout}"
    home.mkdir(mode=0o700, exist_ok=True)
    # The name can be guessed: a directory that another user put there is not ours to trust.
    if home.is_symlink() or home.stat().st_uid != os.getuid():
        raise ServerError(f"{home} belongs to someone else; set TMPDIR to a directory of your own")
    return home


def _decode(entry: dict[str, object]) -> Running:
    def process(key: str) -> Process | None:
        value = entry[key]
        return Process(**value) if isinstance(value, dict) else None

    container, program, number = entry["container"], entry.get("program"), entry.get("stop_signal")
    return Running(
        name=str(entry["name"]),
        url=str(entry["url"]),
        directory=str(entry["directory"]),
        process=process("process"),
        container=None if container is None else str(container),
        owner=process("owner"),
        program=None if program is None else str(program),
        stop_signal=number if isinstance(number, int) else signal.SIGTERM,
    )
