"""Shepherds of small scripted processes, on the reference broker in this process."""

from __future__ import annotations

import random
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from orcastra_core.backends.memory import MemoryBroker
from orcastra_core.liveness.system_clock import SystemClock
from orcastra_core.model.broker_url import BrokerUrl
from orcastra_core.model.names import SessionId
from orcastra_core.runtime.shepherd import Shepherd, ShepherdOptions

SCRIPT = """
import json, os, signal, socket, sys
what, log, lease, *sessions = sys.argv[1:-2]
with open(log, "a") as file:
    file.write(f"{os.getpid()}\\n")
if what == "fail":
    sys.exit(3)
if what == "deaf":
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
leash = socket.socket(fileno=int(sys.argv[-1]))
leash.sendall(json.dumps({"url": "memory://"}).encode() + b"\\n")
for session in sessions:
    leash.sendall(json.dumps({"session": session, "lease": float(lease)}).encode() + b"\\n")
if what == "crash":
    sys.exit(7)
if what == "done":
    leash.sendall(json.dumps({"stats": {"completed": 5}}).encode() + b"\\n")
    sys.exit(0)
leash.recv(1) if what != "deaf" else [signal.pause() for _ in iter(int, 1)]
"""


class Recorder(MemoryBroker):
    """Notes what was beaten for."""

    def __init__(self) -> None:
        super().__init__(BrokerUrl.parse("memory://"))
        self.beaten: list[SessionId] = []

    async def beat(self, session: SessionId, /) -> bool:
        self.beaten.append(session)
        return await super().beat(session)


@pytest.fixture
async def broker() -> AsyncIterator[Recorder]:
    made = Recorder()
    await made.open()
    yield made
    await made.close()


class _Upper(random.Random):
    def uniform(self, a: float, b: float) -> float:
        return b


Make = Callable[..., Shepherd]


@pytest.fixture
def make(broker: Recorder, tmp_path: Path) -> Make:
    """Return a maker of shepherds; their processes write their pids into ``pids``."""
    script = tmp_path / "process.py"
    script.write_text(SCRIPT)

    def maker(what: str, *sessions: str, lease: float = 10.0, processes: int = 1, **options: Any) -> Shepherd:
        command = [sys.executable, "-S", str(script), what, str(tmp_path / "pids"), str(lease), *sessions]
        return Shepherd(
            ShepherdOptions(command=command, processes=processes, **options),
            lambda url: broker,
            clock=SystemClock(),
            rng=_Upper(),
        )

    return maker
