"""The broker's edge: what is open, who may call, and which lane it takes."""

from __future__ import annotations

import asyncio
import os
import secrets
from collections.abc import Sequence
from typing import ClassVar

from orcastra_core.interfaces.broker import Broker
from orcastra_core.interfaces.clock import Clock
from orcastra_core.interfaces.dead_letters import DeadLetterStore
from orcastra_core.interfaces.events import EventLog
from orcastra_core.interfaces.results import ResultStore
from orcastra_core.interfaces.session import Session
from orcastra_core.liveness.system_clock import SystemClock
from orcastra_core.model.broker_url import BrokerUrl
from orcastra_core.model.envelope import Envelope, Unreadable
from orcastra_core.model.errors import BrokerClosed, BrokerUnavailable, InvalidOption, Unsupported, WrongLoop
from orcastra_core.model.ids import bytes_of
from orcastra_core.model.names import QueueName, SessionId
from orcastra_core.model.profile import Cap, Profile
from orcastra_core.model.published import Published
from orcastra_core.model.queue import QueueSpec
from orcastra_core.model.session import Swept
from orcastra_core.model.task_state import State
from orcastra_kafka import publish, server
from orcastra_kafka.advice import advised
from orcastra_kafka.classic import lane
from orcastra_kafka.classic.lane import takes_classic
from orcastra_kafka.classic.profile import CLASSIC, classic_profile
from orcastra_kafka.classic.session import ClassicSession
from orcastra_kafka.core import Core
from orcastra_kafka.dead.store import KafkaDeadLetters
from orcastra_kafka.errors import CLIENT_ERRORS, translate
from orcastra_kafka.events import KafkaEvents
from orcastra_kafka.feed import KafkaFeed
from orcastra_kafka.producer import Record
from orcastra_kafka.purge import Purges
from orcastra_kafka.results import KafkaResults
from orcastra_kafka.schedule.scheduler import KafkaScheduler
from orcastra_kafka.session_share import ShareSession
from orcastra_kafka.settings import Settings
from orcastra_kafka.upkeep import Upkeep

_PIECE = 1000


class KafkaBroker(Broker):
    """``kafka://host:9092,host2:9092/?…``: topics by queue and priority, read by share groups.

    Args:
        url: Parameters: see ``Settings``.
        clock: Where Unix time comes from.
    """

    claims: ClassVar[frozenset[Cap]] = server.SHARE | CLASSIC
    results: ResultStore
    dead_letters: DeadLetterStore
    events: EventLog
    scheduler: KafkaScheduler

    def __init__(self, url: BrokerUrl, *, clock: Clock | None = None) -> None:
        self._settings = Settings.of(url)
        self._clock = clock or SystemClock()
        self._core: Core | None = None
        self._profile: Profile | None = None
        self._opening = asyncio.Lock()
        self._classic = False
        self._sessions: set[ShareSession | ClassicSession] = set()
        self._feeds: set[KafkaFeed] = set()
        self._purges = Purges()
        self._upkeep = Upkeep()
        self.results = KafkaResults(self._open_core, self._feeds)
        self.events = KafkaEvents(self._open_core)
        self.dead_letters = KafkaDeadLetters(self._open_core)
        self.scheduler = KafkaScheduler(self._open_core)

    async def open(self) -> Profile:
        async with self._opening:
            if self._core is not None and self._core.pid != os.getpid():
                self._abandon()
            if self._core is not None and self._profile is not None:
                self._open_core()
                return self._profile
            core = Core(self._settings, self._clock)
            try:
                async with asyncio.timeout(self._settings.connect_timeout):
                    core.facts = await server.learn(core.cluster)
                    self._classic = takes_classic(self._settings, core.cluster)
                    core.take_lane("classic" if self._classic else "share")
                    if self._classic:
                        profile = await classic_profile(self._settings, core.facts, core.cluster)
                    else:
                        profile = server.share_profile(self._settings, core.facts, core.cluster)
            except TimeoutError as error:
                await core.close()
                raise BrokerUnavailable(
                    f"{core.where}: no answer within {self._settings.connect_timeout:g} s"
                ) from error
            except CLIENT_ERRORS as error:
                await core.close()
                raise advised(translate(error, core.where), self._settings) from error
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
        await self._purges.close()
        await self.scheduler.close()
        following = [task for feed in list(self._feeds) if (task := feed.drop()) is not None]
        await asyncio.gather(*(session.drop() for session in list(self._sessions)))
        if following:
            await asyncio.wait(following)
        await core.close()

    async def declare(self, queues: Sequence[QueueSpec], /) -> None:
        core = self._open_core()
        for spec in queues:
            if not self._classic and spec.max_lost >= core.facts.deliveries:
                raise InvalidOption(
                    f"queue {spec.name!r}: max_lost={spec.max_lost} is not below the {core.facts.deliveries} hand-overs after"
                    " which the brokers archive a record (group.share.max.delivery.count.limit; before Kafka 4.4"
                    " group.share.delivery.count.limit)"
                )
        await core.ensure_queues([spec.name for spec in queues])

    async def publish(self, batch: Sequence[Envelope], /, *, events: Sequence[bytes] = ()) -> Sequence[Published]:
        return await publish.publish(self._open_core(), batch, events)

    async def open_session(self, queues: Sequence[QueueName], /, *, lease: float) -> Session:
        core = self._open_core()
        if self._classic and self._profile is not None:
            return await lane.open_session(
                core,
                self._profile,
                SessionId(f"s-{secrets.token_hex(8)}"),
                queues,
                lease,
                opened=self._sessions.add,
                ended=self._sessions.discard,
            )
        least, most = core.facts.locks
        if not lease >= least:
            raise InvalidOption(
                f"a lease of {lease:g} s is below this broker's least, {least:g} s"
                " (group.share.min.record.lock.duration.ms); add lease= to the URL"
            )
        granted = min(lease, most)
        await core.ensure_queues(queues)
        await core.ensure_groups(queues, granted)
        session = ShareSession(core, SessionId(f"s-{secrets.token_hex(8)}"), granted, self._sessions.discard)
        self._sessions.add(session)
        try:
            await session.begin(queues)
        except BaseException:
            await session.drop()
            raise
        return session

    async def sweep(self, *, limit: int) -> Swept:
        await self._upkeep.tend(self._open_core())
        return Swept()  # the brokers hand out again what a closed connection held, or a lock that ran out

    async def expire(self, session: SessionId, /) -> int:
        self._open_core()
        for mine in list(self._sessions):
            if mine.id == session:
                return await mine.expire()
        return 0  # the closed connection did it

    async def purge(
        self, queue: QueueName, /, *, states: frozenset[State] = frozenset({State.READY, State.DELAYED})
    ) -> int:
        core = self._open_core()
        if self._classic:
            raise Unsupported(Cap.PURGE)
        if not states <= {State.READY, State.DELAYED, State.DEAD}:
            raise InvalidOption("only ready, delayed and dead tasks can be purged")
        count = await self._purges.purge(core, queue) if State.READY in states else 0
        while State.DEAD in states and (gone := await self.dead_letters.purge(queue=queue, limit=_PIECE)):
            count += gone
        return count  # what is delayed waits in a Scheduler, whose it is to forget

    async def plant(self, unreadable: Unreadable) -> None:
        """Put bytes that are no envelope into a queue, as another program might. For tests."""
        core = self._open_core()
        await core.ensure_queues([unreadable.queue])
        topic = core.names.lane(unreadable.queue, 0)
        (failure,) = await core.producer.send([Record(topic, bytes_of(unreadable.id), unreadable.raw)])
        if failure is not None:
            raise failure

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
        self.scheduler.abandon()
        self._sessions.clear()
        self._feeds.clear()
