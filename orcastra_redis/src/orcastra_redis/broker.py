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
from orcastra_core.model.published import Published, Refused, Unknown
from orcastra_core.model.queue import QueueDepth, QueueSpec
from orcastra_core.model.session import Swept
from orcastra_core.model.task_state import Cancellation, Cancelled, State, TaskState
from orcastra_redis import control, publish, server, sweep
from orcastra_redis.advice import advised
from orcastra_redis.beat import beat
from orcastra_redis.clients import check_files
from orcastra_redis.core import Core
from orcastra_redis.dead_letters import RedisDeadLetters
from orcastra_redis.events import RedisEvents
from orcastra_redis.results import RedisFeed, RedisResults
from orcastra_redis.scheduler import RedisScheduler
from orcastra_redis.session import RedisSession
from orcastra_redis.settings import CLAIMS, LIMITS, Settings

_SLOW_AT_ONCE = 200
"""Envelopes with keys or a delay that one script stores."""


class RedisBroker(Broker):
    """``redis://host:port/db``: streams and consumer groups, every operation one script.

    Args:
        url: Also ``rediss://`` (TLS) and ``unix:///path``. Parameters: see ``Settings``.
        clock: Where Unix time comes from; only its distance from the server's clock counts.
    """

    claims: ClassVar[frozenset[Cap]] = CLAIMS
    scheduler: RedisScheduler
    results: RedisResults
    dead_letters: RedisDeadLetters
    events: RedisEvents

    def __init__(self, url: BrokerUrl, *, clock: Clock | None = None) -> None:
        self._settings = Settings.of(url)
        self._clock = clock or SystemClock()
        self._core: Core | None = None
        self._profile: Profile | None = None
        self._opening = asyncio.Lock()
        self._sessions: set[RedisSession] = set()
        self._feeds: set[RedisFeed] = set()
        self.scheduler = RedisScheduler(self._open_core)
        self.results = RedisResults(self._open_core, self._feeds)
        self.dead_letters = RedisDeadLetters(self._open_core)
        self.events = RedisEvents(self._open_core)

    async def open(self) -> Profile:
        async with self._opening:
            if self._core is not None and self._core.pid != os.getpid():
                self._abandon()
            if self._core is not None and self._profile is not None:
                self._open_core()
                return self._profile
            if self._settings.tls:
                check_files(self._settings)
            core = Core(self._settings, self._clock)
            try:
                async with asyncio.timeout(self._settings.connect_timeout):
                    profile = await server.greet(core, self._clock)
                    core.start()
                    await core.listener.add(f"{core.link.prefix}soon", self._due_soon)
            except BrokerError as error:
                await core.close()
                raise advised(error, self._settings) from error.__cause__
            except TimeoutError as error:
                await core.close()
                late = BrokerUnavailable(f"{core.link.where}: no answer within {self._settings.connect_timeout:g} s")
                late.__cause__ = error
                raise advised(late, self._settings) from error
            except BaseException:
                await core.close()
                raise
            self._core, self._profile = core, profile
            return profile

    async def close(self) -> None:
        core = self._core
        if core is None:
            return
        if core.pid != os.getpid():
            self._abandon()
            return
        self._core = None
        self._opening = asyncio.Lock()
        core.closed = True
        sessions = list(self._sessions)
        for session in sessions:
            session.drop()
        for feed in list(self._feeds):
            feed.drop()
        await asyncio.gather(*(asyncio.to_thread(session.stop_beating) for session in sessions))
        await core.close()

    async def declare(self, queues: Sequence[QueueSpec], /) -> None:
        await control.declare(self._open_core(), queues)

    async def publish(self, batch: Sequence[Envelope], /, *, events: Sequence[bytes] = ()) -> Sequence[Published]:
        core = self._open_core()
        # everybody else waits while a script runs, and these take 30 µs each, plain ones 5
        slow = any(one.due is not None or one.dedup is not None or one.order_by is not None for one in batch)
        most = _SLOW_AT_ONCE if slow else LIMITS.max_batch
        answers: list[Published] = []
        for at in range(0, len(batch), most):
            answers += await self._publish(core, batch[at : at + most], events[at : at + most])
        return answers

    async def _publish(self, core: Core, batch: Sequence[Envelope], events: Sequence[bytes]) -> Sequence[Published]:
        prepared = publish.prepare(batch, core.now())
        if not prepared.sent:
            return prepared.answers([])
        pieces = [record for record, one in zip(events, prepared.ids, strict=False) if not isinstance(one, Refused)]
        try:
            codes = await core.link.run(
                "publish", self._settings.events_max, *publish.pack_events(pieces), *prepared.args
            )
        except BrokerClosed:
            raise
        except BrokerError as error:
            return [one if isinstance(one, Refused) else Unknown(error) for one in prepared.ids]
        return prepared.answers(codes)

    async def open_session(self, queues: Sequence[QueueName], /, *, lease: float) -> Session:
        core = self._open_core()
        if not lease >= LIMITS.min_lease:
            raise InvalidOption(f"a lease of {lease:g} s is below this broker's least, {LIMITS.min_lease:g} s")
        session = RedisSession(core, SessionId(f"s-{secrets.token_hex(8)}"), lease, self._sessions.discard)
        try:
            await core.link.run("open_session", session.id, round(lease * 1000), *queues)
            self._sessions.add(session)
            await session.begin()
        except BaseException:
            session.drop()
            core.later(lambda: sweep.expire(core, session.id))
            raise
        return session

    async def sweep(self, *, limit: int) -> Swept:
        return await sweep.sweep(self._open_core(), limit)

    async def expire(self, session: SessionId, /) -> int:
        return await sweep.expire(self._open_core(), session)

    async def beat(self, session: SessionId, /) -> bool:
        return await beat(self._open_core().link, session)

    async def cancel(self, batch: Sequence[Cancellation], /) -> Sequence[Cancelled]:
        return await control.cancel(self._open_core(), batch)

    async def find(self, ids: Sequence[TaskId], /) -> Sequence[TaskState | None]:
        return await control.find(self._open_core(), ids)

    async def inspect(self, queues: Sequence[QueueName] | None = None, /) -> Sequence[QueueDepth]:
        return await control.inspect(self._open_core(), queues)

    async def pause(self, queues: Sequence[QueueName], /) -> None:
        await control.pause(self._open_core(), queues)

    async def resume(self, queues: Sequence[QueueName], /) -> None:
        await control.resume(self._open_core(), queues)

    async def purge(
        self, queue: QueueName, /, *, states: frozenset[State] = frozenset({State.READY, State.DELAYED})
    ) -> int:
        return await control.purge(self._open_core(), queue, states)

    async def plant(self, unreadable: Unreadable) -> None:
        """Put bytes that are no envelope into a queue, as another program might. For tests."""
        await self._open_core().link.run("plant", unreadable.id, unreadable.queue, unreadable.raw)

    def _due_soon(self, message: bytes | None) -> None:
        for session in self._sessions:
            session.due_soon()

    def _open_core(self) -> Core:
        core = self._core
        if core is None or core.closed:
            raise BrokerClosed("the broker is not open; call open() first")
        if core.pid != os.getpid():
            raise WrongLoop("this broker was opened before a fork; open one of its own in the child process")
        if asyncio.get_running_loop() is not core.loop:
            raise WrongLoop("this broker was opened in another event loop; close it there first")
        return core

    def _abandon(self) -> None:
        """Forget what belongs to the parent process, touching nothing of it."""
        self._core = None
        self._sessions.clear()
        self._feeds.clear()
