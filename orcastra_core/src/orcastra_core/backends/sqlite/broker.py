"""The broker's edge: what is open, and who may call."""

from __future__ import annotations

import asyncio
import os
import secrets
import sqlite3
from collections.abc import Sequence
from typing import ClassVar

from orcastra_core.backends.sqlite import control, reap, sweep
from orcastra_core.backends.sqlite.core import Core, not_open
from orcastra_core.backends.sqlite.dead_letters import SqliteDeadLetters
from orcastra_core.backends.sqlite.errors import translate
from orcastra_core.backends.sqlite.events import SqliteEvents
from orcastra_core.backends.sqlite.filesystem import check_place
from orcastra_core.backends.sqlite.leftovers import remove_leftovers
from orcastra_core.backends.sqlite.prune import anything_untidy, tidy
from orcastra_core.backends.sqlite.publish import Batch, publish
from orcastra_core.backends.sqlite.results import SqliteFeed, SqliteResults
from orcastra_core.backends.sqlite.scheduler import SqliteScheduler
from orcastra_core.backends.sqlite.schema import check_library
from orcastra_core.backends.sqlite.session import SqliteSession
from orcastra_core.backends.sqlite.session_file import beat_for
from orcastra_core.backends.sqlite.settings import CLAIMS, LIMITS, NOTES, Settings
from orcastra_core.backends.sqlite.tx import Tx
from orcastra_core.interfaces.broker import Broker
from orcastra_core.interfaces.clock import Clock
from orcastra_core.interfaces.session import Session
from orcastra_core.liveness.system_clock import SystemClock
from orcastra_core.model.broker_url import BrokerUrl
from orcastra_core.model.envelope import Envelope, Unreadable
from orcastra_core.model.errors import (
    BrokerClosed,
    BrokerError,
    BrokerUnavailable,
    InvalidOption,
    SerializationError,
    WrongLoop,
)
from orcastra_core.model.ids import TaskId
from orcastra_core.model.names import QueueName, SessionId
from orcastra_core.model.profile import Cap, Profile
from orcastra_core.model.published import Published, Refused, Unknown
from orcastra_core.model.queue import QueueDepth, QueueSpec
from orcastra_core.model.session import Swept
from orcastra_core.model.task_state import Cancellation, Cancelled, State, TaskState
from orcastra_core.serialization.result_codec import encode_result

_TIDY_EVERY = 5.0
_CLEAN_EVERY = 60.0


class SqliteBroker(Broker):
    """``sqlite:///path``: durable, on one host, without a server.

    Args:
        url: Its path names the file: ``sqlite:///file.db`` in the current directory,
            ``sqlite:////var/lib/file.db`` anywhere. Parameters: see ``Settings``.
        clock: Where Unix time comes from. Sessions beat by the machine's own clock, whatever this one says.
    """

    claims: ClassVar[frozenset[Cap]] = CLAIMS
    scheduler: SqliteScheduler
    results: SqliteResults
    dead_letters: SqliteDeadLetters
    events: SqliteEvents

    def __init__(self, url: BrokerUrl, *, clock: Clock | None = None) -> None:
        self._settings = Settings.of(url)
        self._clock = clock or SystemClock()
        self._core: Core | None = None
        self._opening = asyncio.Lock()
        self._sessions: set[SqliteSession] = set()
        self._feeds: set[SqliteFeed] = set()
        self._tidied = float("-inf")
        self._cleaned = float("-inf")
        self.scheduler = SqliteScheduler(self._settings.path, self._open_core)
        self.results = SqliteResults(self._open_core, self._feeds)
        self.dead_letters = SqliteDeadLetters(self._open_core)
        self.events = SqliteEvents(self._open_core)

    async def open(self) -> Profile:
        async with self._opening:
            if self._core is not None and self._core.pid != os.getpid():
                self._abandon()
            if self._core is not None:
                self._open_core()
            else:
                self._core = await self._connect()
        return Profile(
            server=f"SQLite {sqlite3.sqlite_version}",
            capabilities=CLAIMS,
            limits=LIMITS,
            durability=self._settings.durability,
            notes=NOTES,
        )

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
        for session in list(self._sessions):
            session.drop()
        for feed in list(self._feeds):
            feed.drop()
        await core.close()

    async def declare(self, queues: Sequence[QueueSpec], /) -> None:
        await self._open_core().write(lambda tx: control.declare(tx, queues), durable=True, weight=len(queues))

    async def publish(self, batch: Sequence[Envelope], /, *, events: Sequence[bytes] = ()) -> Sequence[Published]:
        core = self._open_core()
        if not batch:
            return []
        prepared = Batch(batch)
        records = list(events)
        try:
            return await core.write(lambda tx: publish(tx, prepared, records), durable=True, weight=len(batch))
        except BrokerClosed:
            raise
        except BrokerError as error:
            return [said if isinstance(said, Refused) else Unknown(error) for said in prepared.encoded]

    async def open_session(self, queues: Sequence[QueueName], /, *, lease: float) -> Session:
        core = self._open_core()
        if not lease >= LIMITS.min_lease:
            raise InvalidOption(f"a lease of {lease:g} s is below this broker's least, {LIMITS.min_lease:g} s")
        names, suffix = list(queues), secrets.token_hex(4)
        begun: list[reap.Begun] = []

        def work(tx: Tx) -> reap.Begun:
            while begun:  # the transaction is run again after it collapsed
                begun.pop()[2].close(remove=True)
            begun.append(reap.begin(tx, core.place, names, lease, suffix))
            return begun[0]

        try:
            number, session_id, file = await core.write(work, durable=True)
        except BaseException:
            core.write_later(lambda tx: reap.discard(tx, begun))
            raise
        session = SqliteSession(core, number, session_id, lease, file, self._sessions.discard)
        self._sessions.add(session)
        return session

    async def sweep(self, *, limit: int) -> Swept:
        core = self._open_core()
        suspects, orphans = await core.read(core.watch.suspects)
        await self._tidy(core)
        if not suspects and not orphans:
            return Swept()
        return await core.write(lambda tx: sweep.sweep(tx, core.watch, suspects, limit), durable=True, weight=limit)

    async def expire(self, session: SessionId, /) -> int:
        return await self._open_core().write(lambda tx: sweep.expire(tx, session), durable=True)

    async def beat(self, session: SessionId, /) -> bool:
        core = self._open_core()

        def work(conn: sqlite3.Connection) -> bool:
            row = conn.execute("SELECT num FROM session WHERE id = ?", (session,)).fetchone()
            return row is not None and beat_for(core.place.session_path(row[0]))

        return await core.read(work)

    async def cancel(self, batch: Sequence[Cancellation], /) -> Sequence[Cancelled]:
        core = self._open_core()
        try:
            wishes = [(wish, encode_result(wish.result)) for wish in batch]
        except SerializationError as error:
            raise InvalidOption(str(error)) from error
        return await core.write(
            lambda tx: [control.cancel(tx, *wish) for wish in wishes], durable=True, weight=len(wishes)
        )

    async def find(self, ids: Sequence[TaskId], /) -> Sequence[TaskState | None]:
        return await self._open_core().read(lambda conn: [control.find(conn, task_id) for task_id in ids])

    async def inspect(self, queues: Sequence[QueueName] | None = None, /) -> Sequence[QueueDepth]:
        core = self._open_core()
        now = core.clock.now()
        return await core.read(lambda conn: control.inspect(conn, queues, now))

    async def pause(self, queues: Sequence[QueueName], /) -> None:
        await self._open_core().write(lambda tx: control.set_paused(tx, queues, True), durable=True)

    async def resume(self, queues: Sequence[QueueName], /) -> None:
        await self._open_core().write(lambda tx: control.set_paused(tx, queues, False), durable=True)

    async def purge(
        self, queue: QueueName, /, *, states: frozenset[State] = frozenset({State.READY, State.DELAYED})
    ) -> int:
        core = self._open_core()
        if not states <= {State.READY, State.DELAYED, State.DEAD}:
            raise InvalidOption("only ready, delayed and dead tasks can be purged")
        return await core.write(lambda tx: control.purge(tx, queue, states), durable=True)

    async def plant(self, unreadable: Unreadable) -> None:
        """Put bytes that are no envelope into a queue, as another program might. For tests."""
        await self._open_core().write(lambda tx: control.plant(tx, unreadable), durable=True)

    async def _connect(self) -> Core:
        path = self._settings.path
        check_library()
        check_place(path)
        try:
            core = Core(self._settings, self._clock)
        except OSError as error:
            raise translate(error, path) from error
        try:
            async with asyncio.timeout(self._settings.connect_timeout):
                await core.connect()
        except TimeoutError as error:
            await core.close()
            raise BrokerUnavailable(
                f"{path}: another process has kept the store for {self._settings.connect_timeout:g} s; is one stopped as it writes?"
            ) from error
        except BaseException:
            await core.close()
            raise
        return core

    async def _tidy(self, core: Core) -> None:
        now = self._clock.monotonic()
        if now - self._tidied < _TIDY_EVERY:
            return
        self._tidied = now
        if now - self._cleaned >= _CLEAN_EVERY:
            self._cleaned = now
            await core.read(lambda conn: remove_leftovers(conn, core.place))
        wall = core.clock.now()
        if await core.read(lambda conn: anything_untidy(conn, wall)):
            await core.write(tidy)

    def _open_core(self) -> Core:
        core = self._core
        if core is None or core.closed:
            raise not_open(self._settings.path)
        if core.pid != os.getpid():
            raise WrongLoop(
                f"{self._settings.path}: this broker was opened before a fork; open one of its own in the child process"
            )
        if asyncio.get_running_loop() is not core.loop:
            raise WrongLoop(
                f"{self._settings.path}: this broker was opened in another event loop; close it there first"
            )
        return core

    def _abandon(self) -> None:
        """Forget what belongs to the parent process, touching nothing of it."""
        self._core = None
        self._sessions.clear()
        self._feeds.clear()
