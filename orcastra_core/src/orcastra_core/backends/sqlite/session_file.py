"""A session's sign of life: a kernel lock on a file, and a beat stamped into it.

The lock is a POSIX record lock (``fcntl``), which belongs to the process: it is gone
the moment the process is, however it died, and a forked child has none of it. A
``flock`` or an open-file-description lock would be shared with every child that was
forked without exec, and a pool of children would keep their dead parent alive. The price: closing
*any* descriptor of the file in this process drops the lock. Therefore ``own`` knows the files
that this process holds, and nothing here opens one of those a second time.

A beat is a ``pwrite`` of a few bytes: it waits for no writer and needs no room
on the disk. Time is CLOCK_BOOTTIME, with the id of the boot it belongs to.
"""

from __future__ import annotations

import enum
import fcntl
import json
import os
import struct
import threading
import time
from collections.abc import Sequence

import attrs

from orcastra_core.model.names import QueueName

_HEADER = struct.Struct("<8s16sQB")
_MAGIC = b"ORCASESS"
_STAMP_AT = 24
_WAITING_AT = 32
_TEXT_AT = 64
_MAX_TEXT = 1 << 20
_CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


def boot_id() -> bytes:
    """Return 16 bytes that differ from boot to boot; zeros where the system does not tell."""
    try:
        with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
            return bytes.fromhex(file.read().strip().replace("-", ""))
    except (OSError, ValueError):
        return bytes(16)


def now_ns() -> int:
    """Return nanoseconds since the boot, time asleep included."""
    return time.clock_gettime_ns(_CLOCK)


class SessionFile:
    """The file of a session of this process, locked."""

    def __init__(self, path: str, lease: float, queues: Sequence[QueueName]) -> None:
        """Make the file, lock it and stamp the first beat; only then it gets its name. Raises OSError."""
        self.path = path
        self._lock = threading.Lock()
        temporary = f"{path}.{os.getpid()}.tmp"
        try:
            os.unlink(temporary)  # of a process with this number that died in between
        except FileNotFoundError:
            pass
        self._fd = os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
        try:
            os.write(self._fd, _HEADER.pack(_MAGIC, boot_id(), now_ns(), 0))
            os.pwrite(self._fd, json.dumps({"lease": lease, "queues": list(queues)}).encode(), _TEXT_AT)
            fcntl.lockf(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            with _own_lock:
                _own[path] = self
            os.rename(temporary, path)
        except BaseException:
            with _own_lock:
                _own.pop(path, None)
            os.close(self._fd)
            try:
                os.unlink(temporary)
            except OSError:
                pass
            raise

    def beat(self) -> bool:
        """Stamp the time; False if the file was taken away, which a reap does. Any thread."""
        with self._lock:
            if self._fd < 0:
                return False
            os.pwrite(self._fd, now_ns().to_bytes(8, "little"), _STAMP_AT)
            return os.fstat(self._fd).st_nlink > 0

    def set_waiting(self, waiting: bool) -> None:
        """Say whether the session waits for a task."""
        with self._lock:
            if self._fd >= 0:
                os.pwrite(self._fd, b"\1" if waiting else b"\0", _WAITING_AT)

    def read(self, size: int, at: int) -> bytes:
        """Read of the file, without opening it again."""
        with self._lock:
            return os.pread(self._fd, size, at) if self._fd >= 0 else b""

    def close(self, *, remove: bool) -> None:
        """Let go of the lock, which ends the session's life. Idempotent."""
        with self._lock:
            fd, self._fd = self._fd, -1
            if fd < 0:
                return
            if remove:
                try:
                    if os.fstat(fd).st_nlink:
                        os.unlink(self.path)
                except OSError:
                    pass
            os.close(fd)
        with _own_lock:
            if _own.get(self.path) is self:
                del _own[self.path]


_own: dict[str, SessionFile] = {}
_own_lock = threading.Lock()


def _after_fork_in_child() -> None:
    global _own_lock
    _own_lock = threading.Lock()
    _own.clear()  # the locks are the parent's


os.register_at_fork(after_in_child=_after_fork_in_child)


def own(path: str) -> SessionFile | None:
    """Return the file if a session of this process holds it."""
    with _own_lock:
        return _own.get(path)


class Life(enum.Enum):
    """What a session's file says."""

    MISSING = "there is no file"
    FREE = "nobody holds its lock: the process is dead"
    HELD = "a process holds its lock"


@attrs.frozen
class Probe:
    """A look at a session's file.

    Attributes:
        life: What its lock says.
        stamp: The last beat, boot id and time, for comparing.
    """

    life: Life
    stamp: bytes = b""


def probe(path: str) -> Probe:
    """Look at a session's file; tries its lock and lets go of it again."""
    mine = own(path)
    if mine is not None:
        return Probe(Life.HELD, mine.read(_WAITING_AT, 0))
    try:
        fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return Probe(Life.MISSING)
    try:
        try:
            fcntl.lockf(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return Probe(Life.HELD, os.pread(fd, _WAITING_AT, 0))
        return Probe(Life.FREE)
    finally:
        os.close(fd)


def beat_for(path: str) -> bool:
    """Stamp the file of a session on behalf of its process; False if there is none."""
    mine = own(path)
    if mine is not None:
        return mine.beat()
    try:
        fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        os.pwrite(fd, now_ns().to_bytes(8, "little"), _STAMP_AT)
    finally:
        os.close(fd)
    return True


class Peer:
    """A session's file, opened to see what it reads from and whether it waits."""

    def __init__(self, path: str) -> None:
        """Raises OSError, or ValueError for a file that is none of ours."""
        self._own = own(path)
        self._fd = -1 if self._own is not None else os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            if self._read(8, 0) != _MAGIC:
                raise ValueError("no session file")
            self.queues = frozenset(QueueName(name) for name in json.loads(self._read(_MAX_TEXT, _TEXT_AT))["queues"])
        except BaseException:
            self.close()
            raise

    def waits(self) -> bool:
        """Whether the session waits for a task now."""
        return self._read(1, _WAITING_AT) == b"\1"

    def close(self) -> None:
        """Let go of the file. Idempotent."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)

    def _read(self, size: int, at: int) -> bytes:
        return self._own.read(size, at) if self._own is not None else os.pread(self._fd, size, at)
