"""Which process this is, for others to see whether it still lives."""

from __future__ import annotations

import functools
import os


@functools.cache
def _machine() -> str:
    try:
        with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
            return f"{file.read().strip()}:{os.stat('/proc/self/ns/pid').st_ino}"
    except OSError:
        return ""


def own_process() -> str:
    """Return a text that names this process among all of this machine's since it was started; empty if that cannot be told."""
    machine, started = _machine(), _started(os.getpid())
    return f"{machine}:{os.getpid()}:{started}" if machine and started else ""


def seems_alive(process: str) -> bool:
    """Whether a process lives, as far as that can be seen from here; False for those of other machines."""
    machine, _, rest = process.rpartition(":")[0].rpartition(":")
    number, started = rest, process.rpartition(":")[2]
    if not machine or machine != _machine() or not number.isdecimal():
        return False
    return _started(int(number)) == started


def _started(pid: int) -> str:
    """Return when a process was started, in ticks; empty if there is none, or only what is left of one."""
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as file:
            fields = file.read().rpartition(")")[2].split()
    except OSError:
        return ""
    return "" if fields[0] in "ZX" else fields[19]
