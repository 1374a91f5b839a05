"""Unix datagrams between the processes that share a file: who should look, and results.

Nothing depends on a datagram arriving: whoever waits also polls. A full or
dead doorbell is skipped, and a dead one's file removed.
"""

from __future__ import annotations

import asyncio
import errno
import socket
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence

from orcastra_core.backends.sqlite.place import Place

READY, CANCEL, DUE, FENCED = b"r", b"c", b"d", b"f"
"""What a session is told: a task is ready; a wish to cancel; the next due moment moved; it was reaped."""

RESULTS, HINTS = b"R", b"H"
"""What a feed is told: results, each with its length before it; or ids of results to read."""

MAX_DATAGRAM = 60_000
_BACKLOG_BYTES = 64 * 1024 * 1024
_BACKLOG_SECONDS = 10.0
_ID_SIZE = 36


class Doorbell:
    """A socket in the directory, heard by an event loop."""

    def __init__(
        self, place: Place, name: str, loop: asyncio.AbstractEventLoop, heard: Callable[[bytes], None]
    ) -> None:
        """Bind it. Raises OSError."""
        self._place, self._name, self._loop, self._heard = place, name, loop, heard
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        try:
            self._socket.setblocking(False)
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 * 1024 * 1024)
            self._socket.bind(place.address(name))
        except BaseException:
            self._socket.close()
            raise
        loop.add_reader(self._socket.fileno(), self._read)

    def close(self) -> None:
        """Stop hearing and remove the socket. Idempotent. In the loop's thread."""
        if self._socket.fileno() >= 0:
            self._loop.remove_reader(self._socket.fileno())
            self._socket.close()
            self._place.remove(self._name)

    def _read(self) -> None:
        for _ in range(64):  # then the loop's other work has its turn
            try:
                message = self._socket.recv(MAX_DATAGRAM + 64)
            except OSError:
                return
            self._heard(message)


class Post:
    """Sends datagrams, from any thread, never waiting.

    What a full feed cannot take is kept for a while and sent by ``flush``: a result with
    TTL 0 is nowhere else.
    """

    def __init__(self, place: Place) -> None:
        self._place = place
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.setblocking(False)
        self._lock = threading.Lock()
        self._backlog: dict[str, deque[tuple[float, bytes]]] = {}
        self._backlog_bytes = 0

    def ring(self, number: int, message: bytes) -> None:
        """Ring a session's doorbell."""
        with self._lock:
            self._send(self._place.bell(number), message)

    def push(self, pushes: Sequence[tuple[str, bytes]], hints: Sequence[tuple[str, str]]) -> None:
        """Send encoded results, and ids of results to read, to their channels."""
        results: dict[str, list[bytes]] = {}
        ids: dict[str, list[bytes]] = {}
        for channel, task_id in hints:
            ids.setdefault(channel, []).append(task_id.encode())
        for channel, encoded in pushes:
            results.setdefault(channel, []).append(len(encoded).to_bytes(4, "big") + encoded)
        for channel, parts in results.items():
            self._post(channel, RESULTS, parts)
        for channel, parts in ids.items():
            self._post(channel, HINTS, parts)

    def flush(self) -> bool:
        """Send what was kept; True if something is left."""
        with self._lock:
            before = time.monotonic() - _BACKLOG_SECONDS
            for name in list(self._backlog):
                line = self._backlog[name]
                while line and (line[0][0] < before or self._send(name, line[0][1])):
                    self._backlog_bytes -= len(line.popleft()[1])
                if not line:
                    del self._backlog[name]
            return bool(self._backlog)

    def close(self) -> None:
        """Send nothing more. Idempotent."""
        with self._lock:
            self._socket.close()
            self._backlog.clear()

    def _post(self, channel: str, kind: bytes, parts: list[bytes]) -> None:
        name = self._place.feed(channel)
        if name is None:
            return
        with self._lock:
            size, at = 1, 0
            for index, part in enumerate(parts):
                if size + len(part) > MAX_DATAGRAM and index > at:
                    self._send_or_keep(name, kind + b"".join(parts[at:index]))
                    size, at = 1, index
                size += len(part)
            self._send_or_keep(name, kind + b"".join(parts[at:]))

    def _send_or_keep(self, name: str, message: bytes) -> None:
        line = self._backlog.get(name)
        if line is None and self._send(name, message):
            return
        if self._backlog_bytes + len(message) <= _BACKLOG_BYTES:
            self._backlog.setdefault(name, deque()).append((time.monotonic(), message))
            self._backlog_bytes += len(message)

    def _send(self, name: str, message: bytes) -> bool:
        """Send; False if the receiver has no room now."""
        try:
            self._socket.sendto(message, self._place.address(name))
        except ConnectionRefusedError:
            self._place.remove(name)  # its process is dead
        except OSError as error:
            return error.errno not in (errno.EAGAIN, errno.ENOBUFS)
        return True


def split_results(message: bytes) -> list[bytes]:
    """Return the encoded results of a RESULTS message."""
    parts, at = [], 1
    while at + 4 <= len(message):
        end = at + 4 + int.from_bytes(message[at : at + 4], "big")
        parts.append(message[at + 4 : end])
        at = end
    return parts


def split_ids(message: bytes) -> list[str]:
    """Return the ids of a HINTS message."""
    return [message[at : at + _ID_SIZE].decode("ascii", "replace") for at in range(1, len(message), _ID_SIZE)]
