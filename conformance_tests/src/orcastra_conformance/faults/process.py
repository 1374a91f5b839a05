"""Clients in processes of their own: real SIGKILL, SIGSTOP and SIGCONT.

::

    agent = await spawn(t)
    session = await agent.session(t.queue())
    ...
    await agent.kill()
"""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import tempfile
from typing import cast

from orcastra_conformance.engine.harness import BrokerHarness, Unproven
from orcastra_conformance.engine.trial import Trial
from orcastra_conformance.faults.agent_client import FarBroker
from orcastra_conformance.faults.agent_pipe import AgentGone, Pipe
from orcastra_core.interfaces.session import Session
from orcastra_core.model.names import QueueName
from orcastra_core.model.profile import Profile

_START = "from orcastra_conformance.faults.agent import main; main()"
_SHIFT = """
import time
def shifted(time=time.time, time_ns=time.time_ns, by={offset!r}):
    return lambda: time() + by, lambda: time_ns() + round(by * 1e9)
time.time, time.time_ns = shifted()
"""
"""Run before anything else is imported: whoever reads the wall clock in that process reads it wrong."""


class Agent:
    """A client of the domain in a process of its own, opened.

    Attributes:
        pid: Its process.
        broker: Its client.
        profile: What that said at ``open``.
    """

    broker: FarBroker
    profile: Profile

    def __init__(self, t: Trial, pipe: Pipe) -> None:
        self._t = t
        self._pipe = pipe
        self.pid = pipe.pid

    async def session(self, *queues: QueueName, lease: float | None = None) -> Session:
        """Have it open a session, by default on the default queue with the trial's lease."""
        session = await self.broker.open_session(queues or [self._t.queue()], lease=lease or self._t.lease)
        self._t.note(f"process {self.pid}: {session.id} opened")
        return session

    async def block(self, seconds: float) -> None:
        """Have it block its event loop for ``seconds``; returns when it runs again."""
        self._t.note(f"process {self.pid} blocks its event loop for {seconds:g} s")
        await self._pipe.ask("", "block", seconds)

    async def fork(self) -> int:
        """Have it fork a child that does nothing and lives until the case ends; returns the child's pid."""
        pid = cast("int", await self._pipe.ask("", "fork"))
        self._t.note(f"process {self.pid} forked {pid}")
        return pid

    async def kill(self) -> None:
        """Send SIGKILL; returns when the process is gone. Calls without an answer raise AgentGone."""
        self._signal(signal.SIGKILL)
        await self._pipe.gone.wait()
        self._t.note(f"process {self.pid} killed")

    async def stop(self) -> None:
        """Send SIGSTOP; returns when all of its threads stand still."""
        self._signal(signal.SIGSTOP)
        await asyncio.to_thread(os.waitid, os.P_PID, self.pid, os.WSTOPPED)
        self._t.note(f"process {self.pid} stopped")

    async def go_on(self) -> None:
        """Send SIGCONT; returns when it runs again."""
        self._signal(signal.SIGCONT)
        await asyncio.to_thread(os.waitid, os.P_PID, self.pid, os.WCONTINUED)
        self._t.note(f"process {self.pid} goes on")

    async def end(self) -> None:
        """Kill it if it still lives, and let go of the pipe."""
        if not self._pipe.gone.is_set():
            self._signal(signal.SIGKILL)  # also ends one that is stopped
            await self._pipe.gone.wait()
        self._pipe.close()
        await self._pipe.closed.wait()
        if printed := self._pipe.printed():
            self._t.note(f"process {self.pid} printed: {printed}")

    def _signal(self, number: signal.Signals) -> None:
        if not self._pipe.gone.is_set():
            os.kill(self.pid, number)


async def spawn(t: Trial, *, clock_offset: float = 0.0) -> Agent:
    """Start a client of the domain in a process of its own, and open it. It is killed when the case ends.

    Args:
        t: The case's trial.
        clock_offset: Seconds by which that process's wall clock is ahead of ours.

    Raises:
        NotApplicable, Unproven: No other process can reach the domain, or make the harness's clients.
    """
    url, harness = t.harness.url(t.domain), _importable(type(t.harness))
    if not hasattr(os, "waitid"):
        raise Unproven("this system does not tell when a process has stopped (os.waitid)")
    start = _SHIFT.format(offset=clock_offset) + _START if clock_offset else _START
    paths = os.pathsep.join(path or os.getcwd() for path in sys.path)
    errors = t.mishap.enter_context(tempfile.TemporaryFile())  # noqa: SIM115 - a context of the mishap's
    _, pipe = await asyncio.get_running_loop().subprocess_exec(
        lambda: Pipe(errors),
        *(sys.executable, "-P", "-c", start),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=errors,
        env={**os.environ, "PYTHONPATH": paths},
    )
    agent = Agent(t, pipe)
    t.mishap.push_async_callback(agent.end)
    try:
        agent.profile = await pipe.ask("", "dial", harness, url)
    except ImportError as error:
        raise Unproven(f"another process cannot import the harness's class: {error}") from error
    agent.broker = FarBroker(pipe.ask, agent.profile)
    t.note(f"process {agent.pid} opened a client" + (f", its clock off by {clock_offset:+g} s" if clock_offset else ""))
    return agent


async def spawned(t: Trial, number: int) -> list[Agent]:
    """Start so many clients in processes of their own at once."""
    async with asyncio.TaskGroup() as group:
        starting = [group.create_task(spawn(t)) for _ in range(number)]
    return [task.result() for task in starting]


def _importable(harness: type[BrokerHarness]) -> str:
    module, name = harness.__module__, harness.__qualname__
    if module == "__main__" or "<locals>" in name:
        raise Unproven(f"{module}:{name} is no class that another process could import; put it into a module")
    return f"{module}:{name}"


__all__ = ["Agent", "AgentGone", "spawn", "spawned"]
