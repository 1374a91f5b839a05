"""The program of an agent: a client of the domain in a process of its own, which a case may kill, stop or block.

It makes the calls that arrive on its standard input and answers on its standard output; see ``agent_frames``. Whatever else
is printed goes to standard error. When the case's end of the pipe closes, it dies on the spot, as if it were killed.
"""

from __future__ import annotations

import asyncio
import functools
import importlib
import os
import pickle
import select
import time
import traceback
import warnings
from collections.abc import Awaitable
from contextlib import nullcontext
from typing import Any

from orcastra_conformance.faults.agent_frames import AgentError, Answer, Call, Frames, Granted, frame
from orcastra_core.interfaces.broker import Broker
from orcastra_core.interfaces.session import Session
from orcastra_core.model.errors import OrcastraError
from orcastra_core.model.profile import Profile

_CHUNK = 1 << 16


class Agent:
    """Makes calls on one client of the domain, on its sessions, and on itself."""

    def __init__(self, output: int) -> None:
        self._output = output
        self._broker: Broker | None = None
        self._sessions: dict[str, Session] = {}
        self._turns: dict[tuple[str, str], asyncio.Lock] = {}

    async def answer(self, call: Call) -> None:
        """Make a call and send what came of it."""
        async with self._turn(call):
            try:
                value = getattr(self._target(call.target), call.method)(*call.args, **call.options)
                if isinstance(value, Awaitable):
                    value = await value
                if isinstance(value, Session):
                    self._sessions[value.id] = value
                    value = Granted(value.id, value.lease)
                answer = Answer(call.number, value)
            except Exception as error:  # noqa: BLE001 - whatever it is, the case decides what it means
                answer = Answer(call.number, error=_portable(error))
            self._send(answer)

    async def dial(self, harness: str, url: str) -> Profile:
        """Open a client by the ``dial`` of a harness class, named «module:Class». Raises ImportError."""
        module, _, name = harness.partition(":")
        try:
            kind = functools.reduce(getattr, name.split("."), importlib.import_module(module))
        except Exception as error:
            raise ImportError(f"{harness}: {type(error).__name__}: {error}") from error
        broker: Broker = kind.dial(url)
        self._broker = broker
        return await broker.open()

    async def block(self, seconds: float) -> None:
        """Keep the event loop from running, as code that awaits nothing does."""
        time.sleep(seconds)  # noqa: ASYNC251 - that is the point

    async def fork(self) -> int:
        """Fork a child that lives on, with all that it inherited, until the case's end of the pipe closes. Returns its pid."""
        with warnings.catch_warnings():
            warnings.simplefilter(
                "ignore", DeprecationWarning
            )  # of forking beside threads: none of theirs runs in the child
            pid = os.fork()
        if pid == 0:
            os.close(self._output)  # else its parent's death would not show there
            closed = select.poll()
            closed.register(0, 0)
            closed.poll()
            os._exit(0)
        return pid

    def _turn(self, call: Call) -> asyncio.Lock | nullcontext[None]:
        # each method of a session is called by one task at a time
        if call.target in self._sessions:
            return self._turns.setdefault((call.target, call.method), asyncio.Lock())
        return nullcontext()

    def _target(self, name: str) -> Any:
        if not name:
            return self
        return self._broker if name == "broker" else self._sessions[name]

    def _send(self, answer: Answer) -> None:
        data = memoryview(frame(answer))
        while data:
            data = data[os.write(self._output, data) :]


async def serve(output: int) -> None:
    """Make calls until the input ends, then die."""
    agent, frames, reader = Agent(output), Frames(), asyncio.StreamReader()
    pipe = os.fdopen(0, "rb", buffering=0, closefd=False)
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), pipe)
    async with asyncio.TaskGroup() as group:
        while data := await reader.read(_CHUNK):
            for call in frames.feed(data):
                group.create_task(agent.answer(call))
        os._exit(0)


def _portable(error: Exception) -> Exception:
    """Return an exception that can be sent: errors of the contract as they are, others as text."""
    if isinstance(error, (OrcastraError, ImportError)):
        try:
            pickle.loads(pickle.dumps(error))  # noqa: S301 - can it be?
        except Exception:  # noqa: BLE001, S110 - no: its constructor wants something else
            pass
        else:
            return error
    return AgentError("".join(traceback.format_exception(error)))


def main() -> None:
    """Run an agent."""
    output = os.dup(1)
    os.dup2(2, 1)  # what others print must not come between the frames
    asyncio.run(serve(output))


if __name__ == "__main__":
    main()
