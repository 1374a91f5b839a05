"""One worker process, as its shepherd sees it."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from asyncio.subprocess import DEVNULL, Process
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from orcastra_core.model.names import SessionId
from orcastra_core.runtime.leash import read_messages
from orcastra_core.runtime.stats import Stats

_AT_REST = frozenset("TtZX")
"""States of /proc/PID/stat in which a process does nothing: stopped, traced, dead."""


class WorkerProcess:
    """A child, from its start until it is waited for.

    Made by ``start``. It lives in a process group of its own: a Ctrl-C in the
    terminal reaches the shepherd alone, which passes it on once.

    Attributes:
        sessions: Leases, in seconds, of the sessions it has announced.
        url: The broker's URL, secrets included, once it was announced.
        stats: What it did, once it has said so.
    """

    def __init__(self, process: Process, end: socket.socket, changed: Callable[[WorkerProcess], None]) -> None:
        self.sessions: dict[SessionId, float] = {}
        self.url: str | None = None
        self.stats: Stats | None = None
        self._process = process
        self._socket = end
        self._buffer = bytearray()
        self._changed = changed
        self._reading = True
        asyncio.get_running_loop().add_reader(end, self._receive)

    @classmethod
    async def start(
        cls, command: Sequence[str], env: Mapping[str, str], changed: Callable[[WorkerProcess], None]
    ) -> WorkerProcess:
        """Start a child.

        Args:
            command: What to run; ``--leash FD`` is appended.
            env: Variables beside those of this process.
            changed: Called whenever it has announced something.
        """
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        try:
            with theirs:
                fd = theirs.fileno()
                process = await asyncio.create_subprocess_exec(
                    *command,
                    "--leash",
                    str(fd),
                    stdin=DEVNULL,
                    pass_fds=(fd,),
                    start_new_session=True,
                    env={**os.environ, **env},
                )
        except BaseException:
            ours.close()
            raise
        return cls(process, ours, changed)

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Whether it has not ended yet."""
        return self._process.returncode is None

    @property
    def at_work(self) -> bool:
        """Whether it lives and is neither stopped nor traced. Where that cannot be known: False."""
        try:
            stat = Path("/proc", str(self.pid), "stat").read_text()
        except OSError:
            return False
        # the name, in parentheses, may hold anything
        return self.alive and stat.rpartition(")")[2].split()[0] not in _AT_REST

    async def wait(self) -> int:
        """Wait for its end; return its exit code, negative for a signal. All it announced has then been read."""
        code = await self._process.wait()
        self._receive()
        self.close()
        return code

    def send(self, number: signal.Signals) -> None:
        """Send a signal, if it lives."""
        try:
            self._process.send_signal(number)
        except ProcessLookupError:
            pass

    def close(self) -> None:
        """Let go of it. Idempotent; a living one then stops by itself."""
        if self._reading:
            self._reading = False
            asyncio.get_running_loop().remove_reader(self._socket)
        self._socket.close()

    def _receive(self) -> None:
        while self._reading:
            try:
                data = self._socket.recv(65536)
            except BlockingIOError:
                break
            except OSError:
                data = b""
            if not data:
                self._reading = False
                asyncio.get_running_loop().remove_reader(self._socket)
            self._buffer += data
        for message in read_messages(self._buffer):
            match message:
                case {"url": str(url)}:
                    self.url = url
                case {"session": str(session), "lease": int() | float() as lease}:
                    self.sessions[SessionId(session)] = float(lease)
                case {"stats": dict(stats)}:
                    self.stats = Stats(**stats)
            self._changed(self)
