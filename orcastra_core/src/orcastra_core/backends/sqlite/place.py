"""The directory beside the file: session files, doorbells and the lock at which writers queue."""

from __future__ import annotations

import os

_LONGEST_ADDRESS = 100
"""Bytes of a socket address; the kernel's limit is 108 on Linux, 104 elsewhere."""


class Place:
    """``file.db-sessions/``, made on first use.

    Attributes:
        path: The directory's.
        lock_path: Where writers queue.
    """

    def __init__(self, database: str) -> None:
        self.path = f"{database}-sessions"
        os.makedirs(self.path, exist_ok=True)
        self._fd = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        self.lock_path = os.path.join(self.path, "write.lock")

    def session_path(self, number: int) -> str:
        """Where a session's file is."""
        return os.path.join(self.path, f"{number}.session")

    def bell(self, number: int) -> str:
        """The name of a session's doorbell."""
        return f"{number}.bell"

    def feed(self, channel: str) -> str | None:
        """The name of a feed's doorbell; None if the channel is none of ours."""
        return f"{channel}.feed" if channel.isascii() and channel.isalnum() and len(channel) <= 64 else None

    def address(self, name: str) -> str:
        """Return a socket address for a file in here, also where the path is too long for one."""
        direct = os.path.join(self.path, name)
        return direct if len(os.fsencode(direct)) <= _LONGEST_ADDRESS else f"/proc/self/fd/{self._fd}/{name}"

    def names(self) -> list[str]:
        """Return what is in here."""
        try:
            return os.listdir(self.path)
        except FileNotFoundError:
            return []

    def remove(self, name: str) -> None:
        """Remove a file, if it is there."""
        try:
            os.unlink(os.path.join(self.path, name))
        except OSError:
            pass

    def changed_at(self) -> int:
        """Return when a file came or went, ns."""
        try:
            return os.stat(self.path).st_mtime_ns
        except FileNotFoundError:
            return 0

    def close(self) -> None:
        """Let go of the directory. Idempotent."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)
