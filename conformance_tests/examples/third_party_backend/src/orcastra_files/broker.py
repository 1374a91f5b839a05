"""The broker's edge: who may call, and what is open."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Sequence
from typing import ClassVar

from orcastra_core.interfaces.broker import Broker
from orcastra_core.interfaces.session import Session
from orcastra_core.model.broker_url import BrokerUrl
from orcastra_core.model.envelope import Envelope
from orcastra_core.model.errors import BrokerClosed, BrokerError, BrokerTimeout, BrokerUnavailable, InvalidOption
from orcastra_core.model.names import QueueName, SessionId
from orcastra_core.model.profile import Cap, Profile
from orcastra_core.model.published import Published, Refused, Unknown
from orcastra_core.model.queue import QueueSpec
from orcastra_core.model.session import Swept
from orcastra_files.errors import translate
from orcastra_files.handover import reap, rehome
from orcastra_files.intake import admit, pack
from orcastra_files.life import SessionFile, Watch, beat_for
from orcastra_files.session import FilesSession
from orcastra_files.settings import CLAIMS, LIMITS, Settings
from orcastra_files.step import Step
from orcastra_files.store import Store


class FilesBroker(Broker):
    """``files:///path/to/directory``: durable, for several processes on one host, without a server.

    Args:
        url: Its path names a directory on a local disk, made if need be. Parameters: see ``Settings``.
    """

    claims: ClassVar[frozenset[Cap]] = CLAIMS

    def __init__(self, url: BrokerUrl) -> None:
        self._settings = Settings.of(url)
        self._opening = asyncio.Lock()
        self._store: Store | None = None
        self._watch = Watch()
        self._sessions: set[FilesSession] = set()

    @property
    def store(self) -> Store:
        """What it works on. Raises BrokerClosed."""
        if self._store is None:
            raise BrokerClosed(f"{self._settings.directory}: the broker is not open")
        return self._store

    async def open(self) -> Profile:
        async with self._opening:
            if self._store is None:
                self._store = await self._connect()
                self._watch = Watch()
                self._watch.start()
        return Profile(
            server="files (on this host)", capabilities=CLAIMS, limits=LIMITS, durability=self._settings.durability
        )

    async def close(self) -> None:
        store, self._store = self._store, None
        if store is not None:
            for session in list(self._sessions):
                session.drop()
            self._watch.stop()
            await store.close()

    async def declare(self, queues: Sequence[QueueSpec], /) -> None:
        _ = self.store  # a queue is but a name here: there is nothing to prepare

    async def publish(self, batch: Sequence[Envelope], /, *, events: Sequence[bytes] = ()) -> Sequence[Published]:
        store, parcels = self.store, pack(batch)
        try:
            return await store.run(lambda step: admit(step, parcels))
        except BrokerClosed:
            raise
        except BrokerError as error:
            return [raw if isinstance(raw, Refused) else Unknown(error) for _, raw in parcels]

    async def open_session(self, queues: Sequence[QueueName], /, *, lease: float) -> Session:
        store = self.store
        if not lease >= LIMITS.min_lease:
            raise InvalidOption(f"a lease of {lease:g} s is below this broker's least, {LIMITS.min_lease:g} s")
        session_id = SessionId(secrets.token_hex(8))
        file = SessionFile(store.session_path(session_id))

        def begin(step: Step) -> None:
            file.make()
            step.put("session", session_id, lease)

        try:
            await store.run(begin)
        except BaseException:
            store.later(file.close)  # nobody will use it: let a sweep find it dead
            raise
        session = FilesSession(store, session_id, lease, file, self._sessions.discard)
        self._sessions.add(session)
        return session

    async def sweep(self, *, limit: int) -> Swept:
        store = self.store

        def work(step: Step) -> Swept:
            store.remove_strays(step.state.sessions)
            leases = list(step.state.sessions.items())
            dead = [name for name, lease in leases if self._watch.is_dead(store.session_path(name), lease)]
            for name in dead:
                _reap(store, step, name)
            lost = rehome(step, limit)
            return Swept(sessions=dead, lost=lost, more=bool(step.state.orphans))

        return await store.run(work)

    async def expire(self, session: SessionId, /) -> int:
        store = self.store

        def work(step: Step) -> int:
            if session not in step.state.sessions:
                return 0
            _reap(store, step, session)
            return len(rehome(step, len(step.state.orphans), only=session))

        return await store.run(work)

    async def beat(self, session: SessionId, /) -> bool:
        store = self.store
        return await store.run(lambda step: session in step.state.sessions and beat_for(store.session_path(session)))

    async def _connect(self) -> Store:
        try:
            store = await asyncio.to_thread(Store, self._settings)
        except OSError as error:
            raise translate(error, self._settings.directory) from error
        try:
            await store.run(lambda step: None)
        except BaseException as error:
            await store.close()
            if isinstance(error, BrokerTimeout):
                raise BrokerUnavailable(str(error)) from error
            raise
        return store


def _reap(store: Store, step: Step, session: SessionId) -> None:
    reap(step, session)
    step.afterwards.append(lambda: store.remove_session(session))
