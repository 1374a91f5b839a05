"""Promoters in processes of their own, to be stopped and killed."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

_MODULE = "schedule_rig.promoting"


class Promoter:
    """A process that promotes for ever, and says after each time how many it has fired.

    Attributes:
        process: To be signalled.
        counts: What it said so far.
    """

    def __init__(self, process: Process) -> None:
        self.process = process
        self.counts: list[int] = []
        self._news = asyncio.Condition()
        self._reading = asyncio.create_task(self._read(), name=f"lines of {process.pid}")

    @property
    def fired(self) -> int:
        """How many it says that it has fired."""
        return sum(self.counts)

    async def until(self, fired: int) -> None:
        """Wait until it has fired so many; fail if it ends before."""
        async with self._news:
            while self.fired < fired:
                assert not self._reading.done(), f"it ended after {self.fired}"
                await self._news.wait()

    async def turn(self) -> None:
        """Wait until it has promoted once more."""
        async with self._news:
            before = len(self.counts)
            while len(self.counts) == before:
                assert not self._reading.done(), "it ended"
                await self._news.wait()

    def stand_still(self) -> None:
        """Stop it (SIGSTOP)."""
        self.process.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        """Let it go on (SIGCONT)."""
        self.process.send_signal(signal.SIGCONT)

    async def kill(self) -> None:
        """End it at once (SIGKILL), and wait for that."""
        if self.process.returncode is None:
            self.process.kill()
        await self.process.wait()
        await self._reading

    async def _read(self) -> None:
        assert self.process.stdout is not None
        while line := await self.process.stdout.readline():
            async with self._news:
                self.counts.append(int(line))
                self._news.notify_all()
        async with self._news:
            self._news.notify_all()


@asynccontextmanager
async def promoter(url: str, limit: int) -> AsyncIterator[Promoter]:
    """Run a promoter of ``url`` that fires at most ``limit`` at a time."""
    here = Path(__file__).parents[1]
    path = os.pathsep.join(map(str, (here, here.parents[1] / "tests")))
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        _MODULE,
        url,
        str(limit),
        env={**os.environ, "PYTHONPATH": path},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=PIPE,
    )
    running = Promoter(process)
    try:
        yield running
    finally:
        await running.kill()
