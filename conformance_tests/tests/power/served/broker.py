"""The client's side."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import ClassVar

import attrs

from orcastra_conformance import Address
from orcastra_core.backends.memory.settings import CLAIMS
from orcastra_core.interfaces.broker import Broker
from orcastra_core.liveness.system_clock import SystemClock
from orcastra_core.model.broker_url import BrokerUrl, seconds
from orcastra_core.model.envelope import Envelope, Unreadable
from orcastra_core.model.errors import BrokerClosed, BrokerError, InvalidOption
from orcastra_core.model.ids import TaskId
from orcastra_core.model.names import QueueName, SessionId
from orcastra_core.model.profile import Cap, Profile
from orcastra_core.model.published import Published, Unknown
from orcastra_core.model.queue import QueueDepth, QueueSpec
from orcastra_core.model.session import Swept
from orcastra_core.model.task_state import Cancellation, Cancelled, State, TaskState
from power.served.session import ServedSession
from power.served.stores import ServedDeadLetters, ServedEvents, ServedResults, ServedScheduler
from power.served.talk import Line, T


class ServedBroker(Broker):
    """``served://host:port?domain=…&timeout=…``.

    Args:
        url: May say ``timeout``: seconds it waits for a connection, and for a sign of life on it; 1 by default.
    """

    claims: ClassVar[frozenset[Cap]] = CLAIMS
    kind: ClassVar[type[ServedSession]] = ServedSession

    def __init__(self, url: BrokerUrl) -> None:
        self._timeout: float = url.options({"timeout": seconds}).get("timeout", 1.0)
        host, _, port = "".join(url.hosts).rpartition(":")
        if not port.isdigit():
            raise InvalidOption(f"{url}: expected served://host:port")
        self._address: Address = (host, int(port))
        self._domain = url.domain
        self.place = (self._address, self._domain)
        self._line: Line | None = None
        self._profile: Profile | None = None
        self._sessions: set[ServedSession] = set()
        self.scheduler = ServedScheduler(self)
        self.results = ServedResults(self)
        self.dead_letters = ServedDeadLetters(self)
        self.events = ServedEvents(self)

    async def call(self, operation: str, *args: object, **kwargs: object) -> T:
        """Have the server do something, and return its answer."""
        if self._line is None:
            raise BrokerClosed("the broker is not open")
        return await self._line.call(operation, *args, **kwargs)

    async def open(self) -> Profile:
        if self._line is None:
            self._line = Line(self._address, self._domain, self._timeout)
        line = self._line
        try:
            told: tuple[Profile, float] = await line.call("domain.profile")
        except BaseException:
            if line.unused:
                line.close()
                self._line = None
            raise
        if self._profile is None:
            profile, now = told
            limits = attrs.evolve(profile.limits, connect_timeout=self._timeout)
            ahead = round(now - SystemClock().now(), 1)
            self._profile = attrs.evolve(profile, limits=limits, clock_offset=ahead)
        return self._profile

    async def close(self) -> None:
        if self._line is None:
            return
        line, self._line = self._line, None
        line.close()
        sessions, self._sessions = self._sessions, set()
        async with asyncio.TaskGroup() as group:
            for session in sessions:
                group.create_task(session.fall_silent())
        await line.closed()

    async def declare(self, queues: Sequence[QueueSpec], /) -> None:
        await self.call("broker.declare", queues)

    async def publish(self, batch: Sequence[Envelope], /, *, events: Sequence[bytes] = ()) -> Sequence[Published]:
        try:
            return await self.call("broker.publish", batch, events=events)
        except BrokerClosed:
            raise
        except BrokerError as error:
            return [Unknown(error)] * len(batch)

    async def open_session(self, queues: Sequence[QueueName], /, *, lease: float) -> ServedSession:
        session_id: SessionId = await self.call("domain.open_session", queues, lease=lease)
        if self._line is None:
            raise BrokerClosed("the broker was closed")
        beats = Line(self._address, self._domain, self._timeout)
        session = self.kind(session_id, lease, self._line, beats, self._sessions.discard)
        self._sessions.add(session)
        return session

    async def sweep(self, *, limit: int) -> Swept:
        return await self.call("broker.sweep", limit=limit)

    async def expire(self, session: SessionId, /) -> int:
        return await self.call("broker.expire", session)

    async def beat(self, session: SessionId, /) -> bool:
        return await self.call("broker.beat", session)

    async def cancel(self, batch: Sequence[Cancellation], /) -> Sequence[Cancelled]:
        return await self.call("broker.cancel", batch)

    async def find(self, ids: Sequence[TaskId], /) -> Sequence[TaskState | None]:
        return await self.call("broker.find", ids)

    async def inspect(self, queues: Sequence[QueueName] | None = None, /) -> Sequence[QueueDepth]:
        return await self.call("broker.inspect", queues)

    async def pause(self, queues: Sequence[QueueName], /) -> None:
        await self.call("broker.pause", queues)

    async def resume(self, queues: Sequence[QueueName], /) -> None:
        await self.call("broker.resume", queues)

    async def purge(
        self, queue: QueueName, /, *, states: frozenset[State] = frozenset({State.READY, State.DELAYED})
    ) -> int:
        return await self.call("broker.purge", queue, states=states)

    async def plant(self, unreadable: Unreadable) -> None:
        """Put bytes that are no envelope into a queue."""
        await self.call("domain.plant", unreadable)
