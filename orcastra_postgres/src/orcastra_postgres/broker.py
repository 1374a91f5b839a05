"""The broker's edge: what is open, and who may call."""

from __future__ import annotations

import asyncio
import os
import secrets
from collections.abc import Sequence
from typing import ClassVar

from orcastra_core.interfaces.broker import Broker
from orcastra_core.interfaces.clock import Clock
from orcastra_core.interfaces.session import Session
from orcastra_core.liveness.system_clock import SystemClock
from orcastra_core.model.broker_url import BrokerUrl
from orcastra_core.model.envelope import Envelope, Unreadable
from orcastra_core.model.errors import BrokerClosed, BrokerError, BrokerUnavailable, InvalidOption, WrongLoop
from orcastra_core.model.ids import TaskId
from orcastra_core.model.names import QueueName, SessionId
from orcastra_core.model.profile import Cap, Profile
from orcastra_core.model.published import Published
from orcastra_core.model.queue import QueueDepth, QueueSpec
from orcastra_core.model.session import Swept
from orcastra_core.model.task_state import Cancellation, Cancelled, State, TaskState
from orcastra_postgres import control, server, sweep
from orcastra_postgres.connect import Connection
from orcastra_postgres.core import Core
from orcastra_postgres.dead_letters import PostgresDeadLetters
from orcastra_postgres.events import PostgresEvents
from orcastra_postgres.joining import publish_within
from orcastra_postgres.process import own_process
from orcastra_postgres.publish import prepare
from orcastra_postgres.publishing import publish
from orcastra_postgres.results import PostgresResults
from orcastra_postgres.scheduler import PostgresScheduler
from orcastra_postgres.session import PostgresSession
from orcastra_postgres.settings import CLAIMS, LIMITS, Settings
from orcastra_postgres.statements import call


class PostgresBroker(Broker):
    """``postgresql://host:port/database``: SKIP LOCKED, every operation one statement.

    Args:
        url: Also ``postgres://``. Parameters: see ``Settings``.
        clock: Where Unix time comes from; only its distance from the server's clock counts.
    """

    claims: ClassVar[frozenset[Cap]] = CLAIMS
    scheduler: PostgresScheduler
    results: PostgresResults
    dead_letters: PostgresDeadLetters
    events: PostgresEvents

    def __init__(self, url: BrokerUrl, *, clock: Clock | None = None) -> None:
        self._settings = Settings.of(url)
        self._clock = clock or SystemClock()
        self._core: Core | None = None
        self._profile: Profile | None = None
        self._opening = asyncio.Lock()
        self.scheduler = PostgresScheduler(self._open_core)
        self.results = PostgresResults(self._open_core)
        self.dead_letters = PostgresDeadLetters(self._open_core)
        self.events = PostgresEvents(self._open_core)

    async def open(self) -> Profile:
        async with self._opening:
            if self._core is not None and self._core.pid != os.getpid():
                self._core = None  # the parent's: nothing of it is touched
            if self._core is not None and self._profile is not None:
                self._open_core()
                return self._profile
            core = Core(self._settings, self._clock)
            try:
                async with asyncio.timeout(self._settings.connect_timeout):
                    profile = await server.greet(core, self._clock)
                    await core.start()
            except BrokerError as error:
                await core.close()
                if error.retryable and not isinstance(error, BrokerUnavailable):
                    raise BrokerUnavailable(str(error)) from error
                raise
            except TimeoutError as error:
                await core.close()
                raise BrokerUnavailable(
                    f"{self._settings.where}: no answer within {self._settings.connect_timeout:g} s"
                ) from error
            except BaseException:
                await core.close()
                raise
            self._core, self._profile = core, profile
            return profile

    async def close(self) -> None:
        core = self._core
        if core is None:
            return
        self._core = None
        self._opening = asyncio.Lock()
        if core.pid != os.getpid():
            return
        core.closed = True
        sessions = list(core.sessions)
        for session in sessions:
            session.drop()
        for feed in list(core.feeds.values()):
            feed.drop()
        await asyncio.gather(*(asyncio.to_thread(session.stop_beating) for session in sessions))
        await core.close()

    async def declare(self, queues: Sequence[QueueSpec], /) -> None:
        await control.declare(self._open_core(), queues)

    async def publish(self, batch: Sequence[Envelope], /, *, events: Sequence[bytes] = ()) -> Sequence[Published]:
        core = self._open_core()
        prepared = prepare(batch, core.now())
        if not prepared.sent:
            return prepared.read([])
        try:
            return await publish(core, prepared, events)
        except BrokerClosed:
            raise
        except BrokerError as error:
            return prepared.failed(error)

    async def publish_within(
        self, transaction: object, batch: Sequence[Envelope], /, *, events: Sequence[bytes] = ()
    ) -> Sequence[Published]:
        return await publish_within(self._open_core(), transaction, batch, events)

    async def open_session(self, queues: Sequence[QueueName], /, *, lease: float) -> Session:
        core = self._open_core()
        if not lease >= LIMITS.min_lease:
            raise InvalidOption(f"a lease of {lease:g} s is below this broker's least, {LIMITS.min_lease:g} s")
        names = list(queues)
        suffix, process = secrets.token_hex(4), own_process()
        opened: list[tuple[int, str]] = []

        statement = call("open_session", self._settings.schema, 6)
        slots = LIMITS.settle_window

        async def work(conn: Connection) -> tuple[int, str]:
            row = await conn.fetchrow(statement, core.domain, suffix, float(lease), process, names, slots)
            opened.append((row["num"], row["id"]))
            return opened[0]

        try:
            number, session_id = await core.pool.run(work)
            session = PostgresSession(self, core, number, session_id, lease)
            core.sessions.add(session)
            session.begin()
        except BaseException:
            core.later(lambda: sweep.discard(core, opened))
            raise
        return session

    async def sweep(self, *, limit: int) -> Swept:
        return await sweep.sweep(self._open_core(), limit)

    async def expire(self, session: SessionId, /) -> int:
        return await sweep.expire(self._open_core(), session)

    async def beat(self, session: SessionId, /) -> bool:
        core = self._open_core()
        number = sweep.number_of(session)
        return number is not None and bool((await core.call("beat", number, session, None))[0])

    async def cancel(self, batch: Sequence[Cancellation], /) -> Sequence[Cancelled]:
        return await control.cancel(self._open_core(), batch)

    async def find(self, ids: Sequence[TaskId], /) -> Sequence[TaskState | None]:
        return await control.find(self._open_core(), ids)

    async def inspect(self, queues: Sequence[QueueName] | None = None, /) -> Sequence[QueueDepth]:
        return await control.inspect(self._open_core(), queues)

    async def pause(self, queues: Sequence[QueueName], /) -> None:
        await control.set_paused(self._open_core(), queues, True)

    async def resume(self, queues: Sequence[QueueName], /) -> None:
        await control.set_paused(self._open_core(), queues, False)

    async def purge(
        self, queue: QueueName, /, *, states: frozenset[State] = frozenset({State.READY, State.DELAYED})
    ) -> int:
        return await control.purge(self._open_core(), queue, states)

    async def plant(self, unreadable: Unreadable) -> None:
        """Put bytes that are no envelope into a queue, as another program might. For tests."""
        core = self._open_core()
        await core.ask("plant", core.domain, unreadable.id, unreadable.queue, unreadable.raw)
        core.tell_ready([unreadable.queue])

    def _open_core(self) -> Core:
        core = self._core
        if core is None or core.closed:
            raise BrokerClosed("the broker is not open; call open() first")
        if core.pid != os.getpid():
            raise WrongLoop("this broker was opened before a fork; open one of its own in the child process")
        if asyncio.get_running_loop() is not core.loop:
            raise WrongLoop("this broker was opened in another event loop; close it there first")
        return core
