"""Real workers: ``orcastra worker`` in processes of their own, and a ledger in which every run signs."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import attrs

_SHOP = '''
import asyncio
import os
import time

from orcastra_core import Orcastra

app = Orcastra(@app@)
LEDGER = os.open("ledger", os.O_WRONLY | os.O_APPEND | os.O_CREAT)


@app.task(name="note", queue="q"@note@)
async def note(number: int, seconds: float) -> int:
    """Sign before the work."""
    os.write(LEDGER, b"%d %d %.6f\\n" % (number, os.getpid(), time.time()))
    await asyncio.sleep(seconds)
    return number


@app.task(name="pass", queue="q", result_ttl=0.0)
async def pass_by() -> None:
    """Leave nothing."""
'''


def shop(app: str = "", note: str = "") -> str:
    """Return a module ``shop``, with more arguments for its app and for its task ``note``."""
    return _SHOP.replace("@app@", app).replace("@note@", note)


@attrs.frozen
class Entry:
    """A line of the ledger.

    Attributes:
        number: The task's argument.
        pid: Who began to run it.
        at: When, Unix seconds.
    """

    number: int
    pid: int
    at: float


class Member:
    """A worker process.

    Attributes:
        pid: Its process id.
        lines: What it logged so far.
    """

    def __init__(self, process: Process) -> None:
        self.pid = process.pid
        self.lines: list[str] = []
        self._process = process
        self._news = asyncio.Condition()
        self._reading = asyncio.create_task(self._read(), name=f"log of {process.pid}")

    @property
    def alive(self) -> bool:
        """Whether it still runs."""
        return self._process.returncode is None

    @property
    def text(self) -> str:
        """All that it logged."""
        return "\n".join(self.lines)

    async def line(self, text: str) -> str:
        """Wait for a line that contains ``text``."""
        async with self._news:
            while True:
                for line in self.lines:
                    if text in line:
                        return line
                assert not self._reading.done(), f"it ended without {text!r}:\n{self.text}"
                await self._news.wait()

    async def kill(self) -> None:
        """End it at once (SIGKILL), and wait for that."""
        if self.alive:
            self._process.kill()
        await self._process.wait()
        await self._reading

    async def end(self) -> int:
        """Ask it to end (SIGTERM); return the exit code."""
        if self.alive:
            self._process.send_signal(signal.SIGTERM)
        await self._reading
        return await self._process.wait()

    async def _read(self) -> None:
        assert self._process.stdout is not None
        while line := await self._process.stdout.readline():
            async with self._news:
                self.lines.append(line.decode(errors="replace").rstrip("\n"))
                self._news.notify_all()
        async with self._news:
            self._news.notify_all()


class Crew:
    """Worker processes of one app.

    Attributes:
        members: In the order in which they were started.
    """

    def __init__(self, folder: Path, url: str, arguments: Sequence[str]) -> None:
        self.members: list[Member] = []
        self._folder = folder
        self._ledger = folder / "ledger"
        self._url = url
        self._arguments = arguments

    async def hire(self) -> Member:
        """Start one more, and return when it is ready to work."""
        env = {name: value for name, value in os.environ.items() if not name.startswith(("ORCASTRA", "PYTHON"))}
        command = [sys.executable, "-m", "orcastra_core.cli", "worker", "shop:app", *self._arguments]
        process = await asyncio.create_subprocess_exec(
            *command,
            cwd=self._folder,
            env={**env, "ORCASTRA_URL": self._url},
            stdin=asyncio.subprocess.DEVNULL,
            stdout=PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        member = Member(process)
        self.members.append(member)
        await member.line("started:")
        return member

    def runs(self) -> list[Entry]:
        """Return who began to run what and when, in the order of the beginnings."""
        lines = self._ledger.read_text().splitlines() if self._ledger.exists() else []
        return [Entry(int(number), int(pid), float(at)) for number, pid, at in map(str.split, lines)]

    def begun(self) -> Counter[int]:
        """Return how often each number was begun."""
        return Counter(entry.number for entry in self.runs())

    def by_member(self) -> dict[int, list[Entry]]:
        """Return the runs of each process."""
        found: dict[int, list[Entry]] = defaultdict(list)
        for entry in self.runs():
            found[entry.pid].append(entry)
        return found


@asynccontextmanager
async def crew(folder: Path, url: str, number: int, *arguments: str, source: str | None = None) -> AsyncIterator[Crew]:
    """Start worker processes, ready to work; whoever is left at the end has to end in peace when asked to.

    Args:
        folder: Where they live.
        url: Of their broker.
        number: How many.
        arguments: More of their command line.
        source: The module ``shop``, which has the app; that of ``shop()`` if None.
    """
    (folder / "shop.py").write_text(shop() if source is None else source)
    workers = Crew(folder, url, arguments)
    try:
        async with asyncio.TaskGroup() as group:
            for _ in range(number):
                group.create_task(workers.hire())
        yield workers
        async with asyncio.timeout(15):
            for member in workers.members:
                if member.alive:
                    assert await member.end() == 0, member.text
    finally:
        for member in workers.members:
            await member.kill()
    for member in workers.members:
        assert "Traceback" not in member.text, member.text
