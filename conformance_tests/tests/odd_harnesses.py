"""Harnesses to run the adapters on: lying, blind, broken, hanging. Named on command lines as ``odd_harnesses:Class``."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import signal
from collections.abc import Sequence
from pathlib import Path

from orcastra_conformance import BrokerHarness, ServerFacts, Unproven
from orcastra_core.backends.memory.broker import MemoryBroker
from orcastra_core.backends.memory.conformance import Harness
from orcastra_core.backends.memory.session import MemorySession
from orcastra_core.interfaces.broker import Broker
from orcastra_core.interfaces.session import Session
from orcastra_core.model.delivery import Delivery, Want
from orcastra_core.model.envelope import Envelope
from orcastra_core.model.names import QueueName, SessionId
from orcastra_core.model.profile import Profile
from orcastra_core.model.published import Published
from orcastra_core.model.queue import QueueSpec
from orcastra_core.model.session import Swept

MARKS = "ORCASTRA_TEST_MARKS"
"""The file that a harness writes what happened to it into, a word a line."""


def mark(word: str) -> None:
    if path := os.environ.get(MARKS):
        with Path(path).open("a") as file:
            file.write(f"{word}\n")


class GreedySession(MemorySession):
    """Hands out one more than it was asked for."""

    async def fetch(self, want: Want, /, *, wait: float) -> Sequence[Delivery]:
        more = Want(want.limit + 1, [(queue, number + 1) for queue, number in want.queues])
        return await super().fetch(more, wait=wait)


class GreedyBroker(MemoryBroker):
    async def open_session(self, queues: Sequence[QueueName], /, *, lease: float) -> Session:
        session = await super().open_session(queues, lease=lease)
        session.__class__ = GreedySession
        return session


class Liar(Harness):
    """Of a broker that hands out one more than it was asked for."""

    name = "odd_harnesses:Liar"

    async def broker(self, domain: str) -> Broker:
        broker = await super().broker(domain)
        broker.__class__ = GreedyBroker
        return broker


class Marked(Harness):
    """Writes down that it was started, used and stopped."""

    name = "odd_harnesses:Marked"

    async def start(self) -> ServerFacts:
        mark("started")
        return await super().start()

    async def wipe(self, domain: str) -> None:
        mark("wiped")
        await super().wipe(domain)

    async def stop(self) -> None:
        mark("stopped")
        await super().stop()


class StuckBroker(MemoryBroker):
    async def publish(self, batch: Sequence[Envelope], /, *, events: Sequence[bytes] = ()) -> Sequence[Published]:
        mark("publishing")
        try:
            await asyncio.Event().wait()
        finally:
            mark("cancelled")
        raise AssertionError("never")


class Stuck(Marked):
    """Of a broker that never publishes."""

    name = "odd_harnesses:Stuck"
    patience = 30.0  # it is to be interrupted, not to run out of time

    async def broker(self, domain: str) -> Broker:
        broker = await super().broker(domain)
        if not domain.startswith("preflight"):
            broker.__class__ = StuckBroker
        return broker


class Blind(Harness):
    """Without the power to stop a session's beats."""

    name = "odd_harnesses:Blind"

    async def silence(self, session: Session) -> None:
        raise Unproven("nothing here stops beats")


class Broken(Marked):
    """Does not start."""

    name = "odd_harnesses:Broken"

    async def start(self) -> ServerFacts:
        raise OSError("acme-server is not on the PATH")


class Untidy(Harness):
    """Cannot remove what a case left."""

    name = "odd_harnesses:Untidy"

    async def wipe(self, domain: str) -> None:
        await super().wipe(domain)
        if not domain.startswith("preflight"):
            raise OSError("the disk is gone")


class Unmakeable(Harness):
    """Cannot even be made."""

    modes = ("default",)

    def __init__(self) -> None:
        raise KeyError("ACME_HOME")


class Unfinished(BrokerHarness):
    """Lacks ``stop``."""

    name = "unfinished"

    async def start(self) -> ServerFacts:
        return ServerFacts("none", "none://")


class Nothing(BrokerHarness):
    """Of a backend whose author has not begun: every method of the broker raises."""

    name = "odd_harnesses:Nothing"

    async def start(self) -> ServerFacts:
        return ServerFacts("nothing 0", "nothing://", embedded=True)

    async def stop(self) -> None:
        return

    async def broker(self, domain: str) -> Broker:
        return NoBroker()


class NoBroker(Broker):
    claims = frozenset()

    async def open(self) -> Profile:
        raise NotImplementedError("open: say what this server offers")

    async def close(self) -> None:
        return

    async def declare(self, queues: Sequence[QueueSpec], /) -> None:
        raise NotImplementedError

    async def publish(self, batch: Sequence[Envelope], /, *, events: Sequence[bytes] = ()) -> Sequence[Published]:
        raise NotImplementedError

    async def open_session(self, queues: Sequence[QueueName], /, *, lease: float) -> Session:
        raise NotImplementedError

    async def sweep(self, *, limit: int) -> Swept:
        raise NotImplementedError

    async def expire(self, session: SessionId, /) -> int:
        raise NotImplementedError


class Doomed(Harness):
    """Some of its cases end the process that runs them, as the kernel does when memory is out."""

    name = "odd_harnesses:Doomed"

    async def broker(self, domain: str) -> Broker:
        if domain.startswith(("con.competing-", "con.disown-")):
            os.kill(os.getpid(), signal.SIGKILL)
        return await super().broker(domain)


class Second(Harness):
    """Starts in one process only."""

    name = "odd_harnesses:Second"

    async def start(self) -> ServerFacts:
        if multiprocessing.parent_process() is not None:
            raise OSError("no second server")
        return await super().start()
