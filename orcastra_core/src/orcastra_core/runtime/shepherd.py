"""Supervises worker processes."""

from __future__ import annotations

import asyncio
import logging
import random
import signal
from collections.abc import Callable, Mapping, Sequence

import attrs

from orcastra_core.interfaces.broker import Broker
from orcastra_core.interfaces.clock import Clock
from orcastra_core.runtime.stats import Stats
from orcastra_core.runtime.vouch import Voucher
from orcastra_core.runtime.worker_process import WorkerProcess

_log = logging.getLogger("orcastra.shepherd")

_FIRST_DELAY = 0.1
_MOST_DELAY = 30.0
_STEADY = 10.0
"""Seconds a process must have lived for its restart not to be held back longer than the first delay."""


@attrs.frozen(kw_only=True)
class ShepherdOptions:
    """How a shepherd works.

    Attributes:
        command: What a worker process runs; ``--leash FD`` is appended.
        processes: How many of them.
        env: Variables for them, beside those of this process.
        grace: Seconds that running tasks get after ``stop``, as the processes were told.
        margin: Seconds beyond the grace after which a process that has not ended is
            killed; it gives its tasks 5 of them to react to being cancelled.
        finite: Whether a process that ends with code 0 is done, and not to be replaced.
    """

    command: Sequence[str]
    processes: int
    env: Mapping[str, str] = attrs.Factory(dict)
    grace: float = 30.0
    margin: float = 10.0
    finite: bool = False


class Shepherd:
    """Keeps worker processes running; runs no tasks itself.

    Beats for the processes at work, so that one that holds the GIL for longer
    than a lease keeps its tasks. Sees a process die at once and expires its
    sessions, so that others take its tasks up without waiting for a lapse;
    then starts another, after a pause that grows with every early death. A
    process whose shepherd dies stops gracefully.

    The first process is proven before the others start: an application that cannot
    start says so once.

    Attributes:
        stats: The sum of what processes reported at their end.
        recovered: Deliveries of dead processes that were handed out again.
        restarts: Processes that had to be replaced.
        killed: Processes that did not stop in time.
    """

    def __init__(
        self,
        options: ShepherdOptions,
        load_broker: Callable[[str], Broker],
        *,
        clock: Clock,
        rng: random.Random | None = None,
    ) -> None:
        self.stats = Stats()
        self.recovered = 0
        self.restarts = 0
        self.killed = 0
        self.proven = asyncio.Event()
        """Set when a process has opened a session."""
        self._options = options
        self._clock = clock
        self._rng = rng or random.Random()
        self._herd: dict[int, WorkerProcess] = {}
        self._voucher = Voucher(load_broker, self._herd.values, clock, self._rng)
        self._stop = asyncio.Event()
        self._hurry = asyncio.Event()
        self._go = asyncio.Event()
        self._failed = False

    @property
    def pids(self) -> list[int]:
        """The processes that live."""
        return [process.pid for process in self._herd.values() if process.alive]

    def stop(self) -> None:
        """Let the processes stop within the grace, then end. A second call hurries them."""
        (self._hurry if self._stop.is_set() else self._stop).set()
        self._go.set()

    async def run(self) -> int:
        """Supervise until stopped, or until all processes are done.

        Returns:
            0; 1 if no process could start, or one had to be killed at the end.
        """
        try:
            async with asyncio.TaskGroup() as beside:
                vouching = beside.create_task(self._voucher.run(), name="voucher")
                ending = beside.create_task(self._end_all(), name="stop")
                async with asyncio.TaskGroup() as slots:
                    for number in range(self._options.processes):
                        slots.create_task(self._keep(number), name=f"slot {number}")
                vouching.cancel()
                ending.cancel()
        finally:
            # nothing is left here unless something broke, or this was cancelled
            for process in self._herd.values():
                process.send(signal.SIGKILL)
            for process in self._herd.values():
                await process.wait()
        return 1 if self._failed or self.killed else 0

    async def _keep(self, number: int) -> None:
        """Keep one process running."""
        if number:
            await self._go.wait()
        delay = _FIRST_DELAY
        while not self._stop.is_set():
            process = await WorkerProcess.start(self._options.command, self._options.env, self._hear)
            self._herd[process.pid] = process
            if self._stop.is_set():
                process.send(signal.SIGTERM)
            born = self._clock.monotonic()
            code = await process.wait()
            recovered = await self._voucher.bury(process)
            del self._herd[process.pid]
            self.recovered += recovered
            if process.stats is not None:
                self.stats = _sum(self.stats, process.stats)
            if self._stop.is_set():
                return
            if not self.proven.is_set():
                if code < 0:
                    _log.error("worker process %d %s before it was ready", process.pid, _how(code))
                self._failed = True
                self.stop()
                return
            if code == 0 and self._options.finite:
                return
            if self._clock.monotonic() - born >= _STEADY:
                delay = _FIRST_DELAY
            pause = self._rng.uniform(delay / 2, delay)
            delay = min(_MOST_DELAY, delay * 2)
            self.restarts += 1
            _log.warning(
                "worker process %d %s; %d of its tasks are handed out again; starting another in %.2f s",
                process.pid,
                _how(code),
                recovered,
                pause,
            )
            await _within(pause, self._stop)

    def _hear(self, process: WorkerProcess) -> None:
        if process.sessions:
            self.proven.set()
            self._go.set()
        self._voucher.hear(process)

    async def _end_all(self) -> None:
        """Once told to stop, pass it on; kill what does not end in time."""
        await self._stop.wait()
        self._send_all(signal.SIGTERM)
        margin = self._options.margin
        if await _within(self._options.grace + margin, self._hurry):
            self._send_all(signal.SIGTERM)
            await self._clock.sleep(margin)
        for process in self._herd.values():
            if process.alive:
                self.killed += 1
                _log.error("worker process %d did not stop in time: it is killed", process.pid)
                process.send(signal.SIGKILL)

    def _send_all(self, number: signal.Signals) -> None:
        for process in self._herd.values():
            process.send(number)


async def _within(seconds: float, event: asyncio.Event) -> bool:
    """Wait for ``event``, at most so long; whether it came."""
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        return False
    return True


def _sum(one: Stats, other: Stats) -> Stats:
    mine, theirs = attrs.asdict(one), attrs.asdict(other)
    return Stats(**{name: count + theirs[name] for name, count in mine.items()})


def _how(code: int) -> str:
    """Say how a process ended."""
    if code >= 0:
        return f"ended with exit code {code}"
    try:
        return f"was ended by {signal.Signals(-code).name}"
    except ValueError:
        return f"was ended by signal {-code}"
