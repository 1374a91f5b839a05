"""Real programs: ``orcastra`` in processes, watched line by line; tasks that wait for the test at a gate."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import sys
import tempfile
from asyncio.subprocess import PIPE, Process
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path

import attrs
import pytest

from orcastra_core import Orcastra

SHOP = '''
import asyncio
import ctypes
import os
import socket
import time

from orcastra_core import Orcastra

app = Orcastra()


@app.task(name="greet", queue="mail")
async def greet(name: str, age: int) -> dict[str, str]:
    """Return at once."""
    return {"text": f"Hello {name}, {age}"}


@app.task(name="fail")
async def fail(n: int) -> int:
    raise ValueError(f"no {n}")


@app.task(name="hold")
async def hold(n: int) -> int:
    """Report at the gate and wait to be let through."""
    reader, writer = await asyncio.open_unix_connection(os.environ["GATE"])
    try:
        writer.write(f"{n} {os.getpid()}\\n".encode())
        if not await reader.readline():
            raise RuntimeError("the gate is gone")
    finally:
        writer.close()
    return n


@app.task(name="block")
def block(n: int) -> int:
    """Like hold, but in a thread that nothing stops."""
    with socket.socket(socket.AF_UNIX) as gate:
        gate.connect(os.environ["GATE"])
        gate.sendall(f"{n} {os.getpid()}\\n".encode())
        gate.recv(1)
    return n


@app.task(name="freeze")
async def freeze(milliseconds: int) -> int:
    """Block the event loop; other threads go on."""
    with socket.socket(socket.AF_UNIX) as gate:
        gate.connect(os.environ["GATE"])
        gate.sendall(f"{milliseconds} {os.getpid()}\\n".encode())
    time.sleep(milliseconds / 1000)
    return os.getpid()


@app.task(name="hog")
async def hog(microseconds: int) -> int:
    """Hold the GIL, the first time: no thread of this process does anything meanwhile."""
    mark = os.path.join(os.path.dirname(os.environ["GATE"]), "hogged")
    first = not os.path.exists(mark)
    open(mark, "a").close()
    with socket.socket(socket.AF_UNIX) as gate:
        gate.connect(os.environ["GATE"])
        gate.sendall(f"{microseconds} {os.getpid()}\\n".encode())
    if first:
        ctypes.PyDLL(None).usleep(microseconds)
    return os.getpid()
'''


class Program:
    """A running program, its output line by line, both streams together."""

    def __init__(self, process: Process) -> None:
        self.lines: list[str] = []
        self.pid = process.pid
        self._process = process
        self._news = asyncio.Condition()
        self._reading = asyncio.create_task(self._read())

    async def line(self, text: str, *, count: int = 1) -> str:
        """Wait for the ``count``-th line that contains ``text``."""
        async with self._news:
            while True:
                found = [line for line in self.lines if text in line]
                if len(found) >= count:
                    return found[count - 1]
                assert not self._reading.done(), f"ended without {text!r}:\n{self.text}"
                await self._news.wait()

    async def end(self) -> int:
        """Wait for its end; return the exit code."""
        await self._reading
        return await self._process.wait()

    def send(self, number: signal.Signals) -> None:
        """Send a signal."""
        self._process.send_signal(number)

    @property
    def text(self) -> str:
        """All output so far."""
        return "\n".join(self.lines)

    async def put_away(self) -> None:
        """End it by force, whatever it does."""
        if self._process.returncode is None:
            self._process.kill()
        await self._process.wait()
        await self._reading

    async def _read(self) -> None:
        assert self._process.stdout is not None
        while line := await self._process.stdout.readline():
            async with self._news:
                self.lines.append(line.decode(errors="replace").rstrip("\n"))
                self._news.notify_all()
        async with self._news:
            self._news.notify_all()


class Gate:
    """Where tasks report and wait. A task that is let through returns."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.arrivals: dict[int, list[int]] = defaultdict(list)
        """The pids that reported each number, in order."""
        self._open: set[int] = set()
        self._all = False
        self._news = asyncio.Condition()
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        """Begin to listen."""
        self._server = await asyncio.start_unix_server(self._serve, self.path)

    async def arrived(self, n: int, *, times: int = 1) -> int:
        """Wait until a task has reported ``n`` so often; return the pid of that process."""
        async with self._news:
            await self._news.wait_for(lambda: len(self.arrivals[n]) >= times)
        return self.arrivals[n][times - 1]

    async def let(self, *numbers: int) -> None:
        """Let these through: now, and when they come again. None named: all."""
        async with self._news:
            self._open |= set(numbers)
            self._all = self._all or not numbers
            self._news.notify_all()

    async def close(self) -> None:
        """Let nobody through any more."""
        assert self._server is not None
        self._server.close()
        await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            n, pid = map(int, (await reader.readline()).split())
            async with self._news:
                self.arrivals[n].append(pid)
                self._news.notify_all()
                await self._news.wait_for(lambda: self._all or n in self._open)
            writer.write(b"\n")
            await writer.drain()
        except (OSError, ValueError):
            pass  # the task, or its process, is gone
        finally:
            writer.close()


@attrs.frozen
class Place:
    """A directory with the shop in it, and the environment to run programs in."""

    path: Path
    env: dict[str, str]

    @property
    def url(self) -> str:
        """Its broker."""
        return self.env["ORCASTRA_URL"]

    def client(self) -> Orcastra:
        """Return an app that knows the shop's tasks by name, to submit from the test."""
        app = Orcastra(self.url)

        @app.task(name="greet", queue="mail")
        async def greet(name: str, age: int) -> dict[str, str]:
            raise NotImplementedError

        for name in ("fail", "hold", "block", "freeze", "hog"):

            @app.task(name=name)
            async def task(n: int) -> int:
                raise NotImplementedError

        return app


@pytest.fixture
def place() -> Iterator[Place]:
    """A short path: that of a Unix socket is limited."""
    path = Path(tempfile.mkdtemp(prefix="orca-"))
    (path / "shop.py").write_text(SHOP)
    env = {name: value for name, value in os.environ.items() if not name.startswith(("ORCASTRA", "PYTHON", "COLUMNS"))}
    env |= {"ORCASTRA_URL": f"sqlite:///{path}/shop.db?lease=1", "GATE": str(path / "gate")}
    yield Place(path, env)
    shutil.rmtree(path)


@pytest.fixture
async def gate(place: Place) -> AsyncIterator[Gate]:
    made = Gate(place.env["GATE"])
    await made.start()
    yield made
    await made.let()
    await made.close()


Start = Callable[..., Awaitable[Program]]


@pytest.fixture
async def start(place: Place) -> AsyncIterator[Start]:
    """Return a function that starts ``orcastra`` with the given arguments."""
    programs: list[Program] = []

    async def starter(*args: str, **env: str) -> Program:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "orcastra_core.cli",
            *args,
            cwd=place.path,
            env={**place.env, **env},
            stdin=asyncio.subprocess.DEVNULL,
            stdout=PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        programs.append(Program(process))
        return programs[-1]

    yield starter
    for program in programs:
        await program.put_away()


@attrs.frozen
class Ended:
    """A program that has ended."""

    code: int
    out: str
    err: str


Orca = Callable[..., Awaitable[Ended]]


@pytest.fixture
def orcastra(place: Place) -> Orca:
    """Return a function that runs ``orcastra`` to its end."""

    async def runner(*args: str | bytes, **env: str) -> Ended:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "orcastra_core.cli",
            *args,
            cwd=place.path,
            env={**place.env, **env},
            stdin=asyncio.subprocess.DEVNULL,
            stdout=PIPE,
            stderr=PIPE,
        )
        out, err = await process.communicate()
        assert process.returncode is not None
        return Ended(process.returncode, out.decode(errors="replace"), err.decode(errors="replace"))

    return runner
