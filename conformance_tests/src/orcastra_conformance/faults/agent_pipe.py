"""The case's end of the pipe to an agent."""

from __future__ import annotations

import asyncio
import itertools
from typing import IO, Any, cast

from orcastra_conformance.faults.agent_frames import Answer, Call, Frames, frame


class AgentGone(Exception):
    """The agent's process ended before it answered; the message says how, and what it printed."""


class Pipe(asyncio.SubprocessProtocol):
    """Sends calls and hands out answers; knows when the process is gone.

    Attributes:
        pid: The process.
        gone: Set when it has ended, was waited for, and its last answer has been read.
        closed: Set when the pipe is let go of, too.
    """

    pid: int

    def __init__(self, errors: IO[bytes]) -> None:
        self.gone = asyncio.Event()
        self.closed = asyncio.Event()
        self._errors = errors
        self._frames = Frames()
        self._numbers = itertools.count(1)
        self._asked: dict[int, asyncio.Future[Any]] = {}
        self._ends = 2

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.SubprocessTransport", transport)
        self.pid = self._transport.get_pid()

    def ask(self, target: str, method: str, *args: Any, **options: Any) -> asyncio.Future[Any]:
        """Send a call at once; its answer comes with the future."""
        number = next(self._numbers)
        future = self._asked[number] = asyncio.get_running_loop().create_future()
        if self.gone.is_set():
            self._fail()
        else:
            stdin = cast("asyncio.WriteTransport", self._transport.get_pipe_transport(0))
            stdin.write(frame(Call(number, target, method, args, options)))
        return future

    def printed(self) -> str:
        """Return the end of what the process wrote to its standard error."""
        self._errors.seek(0)
        return self._errors.read().decode(errors="replace")[-3000:].strip()

    def close(self) -> None:
        """Let go of the pipe: a child that the process forked ends then."""
        self._transport.close()

    def pipe_data_received(self, fd: int, data: bytes) -> None:
        for answer in self._frames.feed(data):
            assert isinstance(answer, Answer)
            future = self._asked.pop(answer.number)
            if future.done():
                continue  # its caller was cancelled
            if answer.error is None:
                future.set_result(answer.value)
            else:
                future.set_exception(answer.error)

    # Its last words may come after its end: it is gone when both have.

    def pipe_connection_lost(self, fd: int, exc: Exception | None) -> None:
        if fd == 1:
            self._ended()

    def process_exited(self) -> None:
        self._ended()

    def connection_lost(self, exc: Exception | None) -> None:
        self.closed.set()

    def _ended(self) -> None:
        self._ends -= 1
        if not self._ends:
            self.gone.set()
            self._fail()

    def _fail(self) -> None:
        code = self._transport.get_returncode()
        error = AgentGone(f"process {self.pid} is gone (exit code {code}): {self.printed() or 'it printed nothing'}")
        for future in self._asked.values():
            if not future.done():
                future.set_exception(error)
        self._asked.clear()
