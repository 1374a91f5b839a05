"""Who is alive: proved by a kernel's lock, and judged by beats where the lock says nothing."""

from __future__ import annotations

import os
import struct
import threading
import time

from orcastra_core.liveness.beat_thread import BeatThread
from orcastra_files.locks import LockedFile

_STAMP = struct.Struct(">d")
_LOOK_EVERY = 0.2
_GAP = 1.0
"""Seconds without a look of ours after which we begin anew to judge others."""


class SessionFile(LockedFile):
    """A session's sign of life: locked while its process lives, and stamped with every beat.

    Time is CLOCK_MONOTONIC, which is one for all processes of a host.
    """

    def __init__(self, path: str) -> None:
        super().__init__(path)
        self._busy = threading.Lock()  # a closed descriptor's number may be another file's at once

    def make(self) -> None:
        """Make the file, locked and stamped, before anybody knows of it. Raises OSError."""
        self.__enter__()
        self.try_lock()
        self.beat()

    def beat(self) -> bool:
        """Stamp the time; False if the file was removed, as a reap does. Any thread."""
        with self._busy:
            if self.fd >= 0:
                os.pwrite(self.fd, _STAMP.pack(time.monotonic()), 0)
        return not self.removed()

    def removed(self) -> bool:
        """Whether the file was removed. Any thread."""
        with self._busy:
            return self.fd >= 0 and os.fstat(self.fd).st_nlink == 0

    def close(self) -> None:
        with self._busy:
            super().close()


def beat_for(path: str) -> bool:
    """Stamp the file of a session of another process; False if it was removed."""
    try:
        fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        os.pwrite(fd, _STAMP.pack(time.monotonic()), 0)
    finally:
        os.close(fd)
    return True


class Watch:
    """Judges sessions, and knows since when it can.

    A process that was stopped or starved for a while knows nothing of the others in that time:
    they may have been, too. So a thread of its own notes that this one runs.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._since = self._last = time.monotonic()
        self._thread = BeatThread("files-watch", lease=4 * _LOOK_EVERY, beat=self._tick, on_fenced=lambda: None)

    def start(self) -> None:
        """Begin to watch."""
        self._thread.start()

    def stop(self) -> None:
        """Stop watching. Idempotent."""
        self._thread.stop()

    def is_dead(self, path: str, lease: float) -> bool:
        """Whether a session's process is gone, or has not beaten for a lease that we were here for."""
        since = self._unbroken_since()
        with LockedFile(path) as file:
            stamp = os.pread(file.fd, _STAMP.size, 0)
            if len(stamp) < _STAMP.size or file.try_lock():
                return True
            (beat,) = _STAMP.unpack(stamp)
            return bool(time.monotonic() - max(since, beat) >= lease)

    def _unbroken_since(self) -> float:
        with self._lock:
            now = time.monotonic()
            if now - self._last > _GAP:
                self._since = now
            self._last = now
            return self._since

    async def _tick(self) -> bool:
        self._unbroken_since()
        return True
