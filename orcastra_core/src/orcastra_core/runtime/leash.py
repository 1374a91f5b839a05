"""What a worker process and its shepherd tell each other: JSON lines over a socket pair.

The child says ``{"url"}``, ``{"session", "lease"}`` for each session it opens, and
``{"stats"}`` at its end. The shepherd says nothing: that the socket is open says
that it lives.
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
from collections.abc import Callable
from typing import Any

import attrs

from orcastra_core.model.names import SessionId
from orcastra_core.runtime.stats import Stats


class Leash:
    """The worker's end.

    Args:
        fd: The inherited descriptor; it is not passed on to what this process starts.
    """

    def __init__(self, fd: int) -> None:
        os.set_inheritable(fd, False)
        self._socket = socket.socket(fileno=fd)
        self._watching = False

    def say(self, **message: Any) -> None:
        """Tell the shepherd; it may be gone."""
        try:
            self._socket.sendall(json.dumps(message).encode() + b"\n")
        except OSError:
            pass

    def on_session(self, session: SessionId, lease: float) -> None:
        """Announce a session: for ``Worker(on_session=…)``."""
        self.say(session=session, lease=lease)

    def end(self, stats: Stats) -> None:
        """Report what was done, and let go."""
        self.say(stats=attrs.asdict(stats))
        if self._watching:
            asyncio.get_running_loop().remove_reader(self._socket)
        self._socket.close()

    def watch(self, gone: Callable[[], None]) -> None:
        """Call ``gone`` once if the shepherd dies."""
        loop = asyncio.get_running_loop()

        def readable() -> None:
            try:
                alive = bool(self._socket.recv(4096, socket.MSG_DONTWAIT))
            except BlockingIOError:
                return
            except OSError:
                alive = False
            if not alive:
                loop.remove_reader(self._socket)
                self._watching = False
                gone()

        self._watching = True
        loop.add_reader(self._socket, readable)


def read_messages(buffer: bytearray) -> list[dict[str, Any]]:
    """Take the whole lines out of ``buffer``; what is no message is dropped."""
    messages: list[dict[str, Any]] = []
    while (end := buffer.find(b"\n")) >= 0:
        line = bytes(buffer[:end])
        del buffer[: end + 1]
        try:
            message = json.loads(line)
        except ValueError:
            continue
        if isinstance(message, dict):
            messages.append(message)
    return messages
