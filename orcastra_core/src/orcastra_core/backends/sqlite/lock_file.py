"""The file at which writers queue."""

from __future__ import annotations

import fcntl
import os
import weakref


class LockFile:
    """A kernel lock, exclusive between processes and between brokers of one process.

    Before SQLite's own write lock, because waiting for that is polling with
    growing pauses: a busy writer starves the others. Here they sleep in the kernel.

    It is a ``flock``, which belongs to the open file and so tells two brokers of one process
    apart. A forked child shares it; the child's copy is closed as it starts, so that it
    cannot keep the lock of a parent that died.
    """

    def __init__(self, path: str) -> None:
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        _open_files.add(self)

    def acquire(self) -> None:
        """Wait for the lock; uninterruptible but by the process's end."""
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            fcntl.flock(self._fd, fcntl.LOCK_EX)

    def release(self) -> None:
        """Let the next one go."""
        fcntl.flock(self._fd, fcntl.LOCK_UN)

    def close(self) -> None:
        """Release and close. Idempotent."""
        fd, self._fd = self._fd, -1
        _open_files.discard(self)
        if fd >= 0:
            os.close(fd)


_open_files: weakref.WeakSet[LockFile] = weakref.WeakSet()


def _after_fork_in_child() -> None:
    for file in list(_open_files):
        file.close()


os.register_at_fork(after_in_child=_after_fork_in_child)
