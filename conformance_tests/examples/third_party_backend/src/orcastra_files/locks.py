"""Files whose lock says that somebody is at work, or alive."""

from __future__ import annotations

import fcntl
import os
import weakref


class LockedFile:
    """A file that may be locked, by one descriptor at a time.

    The kernel lets go of the lock with the last copy of the descriptor, however its process died. A
    forked child gets a copy, and would keep a dead parent's lock: so it closes it at birth.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self.fd = -1
        _all.add(self)

    def __enter__(self) -> LockedFile:
        """Open it, made if need be. Raises OSError."""
        self.fd = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def try_lock(self) -> bool:
        """Take the lock; False if another descriptor has it."""
        try:
            fcntl.flock(self.fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def close(self) -> None:
        """Let go of the file and of its lock. Idempotent."""
        fd, self.fd = self.fd, -1
        if fd >= 0:
            os.close(fd)


_all: weakref.WeakSet[LockedFile] = weakref.WeakSet()


def _close_in_child() -> None:
    for file in list(_all):
        file.close()


os.register_at_fork(after_in_child=_close_in_child)
