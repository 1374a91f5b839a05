"""Processes by identity: a pid alone may have become someone else's."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

_TERM_PATIENCE = 10.0  # seconds between SIGTERM and SIGKILL


@dataclass(frozen=True)
class Process:
    """A process that was alive when this was made: its pid, and when it started, in the words of the system."""

    pid: int
    started: str

    @classmethod
    def of(cls, pid: int) -> Process:
        return cls(pid, _started(pid) or "")

    def alive(self) -> bool:
        """Whether this very process still runs. A zombie does not."""
        return bool(self.started) and _started(self.pid) == self.started

    def stop(self, politely: signal.Signals = signal.SIGTERM) -> None:
        """End it, politely first. Returns when it is gone; does nothing to a process that took over the pid."""
        for number, patience in ((politely, _TERM_PATIENCE), (signal.SIGKILL, _TERM_PATIENCE)):
            if not self.alive():
                return
            os.kill(self.pid, number)
            deadline = time.monotonic() + patience
            while self.alive() and time.monotonic() < deadline:
                time.sleep(0.02)


def _started(pid: int) -> str | None:
    stat = Path(f"/proc/{pid}/stat")
    if Path("/proc/self/stat").exists():
        try:
            # The name, in parentheses, may hold anything: what follows the last one is split. State is field 3, start 22.
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            return None
        return None if fields[0] in "ZX" else fields[19]
    listing = subprocess.run(["ps", "-o", "stat=,lstart=", "-p", str(pid)], capture_output=True, text=True, check=False)
    state, _, started = listing.stdout.strip().partition(" ")
    return started.strip() if started and not state.startswith("Z") else None
