"""Faults in sessions: beating, lapsing, leaving, counting."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from orcastra_core.backends.memory import handover, settling
from orcastra_core.backends.memory.broker import MemoryBroker
from orcastra_core.backends.memory.session import MemorySession
from orcastra_core.backends.memory.session_state import SessionState
from orcastra_core.backends.memory.settings import LIMITS
from orcastra_core.backends.memory.store import Store
from orcastra_core.interfaces.session import Session
from orcastra_core.model.counts import Counts
from orcastra_core.model.names import QueueName, SessionId
from orcastra_core.model.settlement import STALE, Settled, Settlement
from power.saboteur import saboteur


@saboteur(
    "never-beats",
    "counts a lease from the session's start, not from its last beat",
    killed_by=("ses.healthy-for-long", "ses.sweep-reaps-lapsed"),
)
def _(patch: pytest.MonkeyPatch) -> None:
    open_session = MemoryBroker.open_session

    async def unbeaten(self: MemoryBroker, queues: Sequence[QueueName], /, *, lease: float) -> Session:
        session = await open_session(self, queues, lease=lease)
        self._store.sessions[session.id].silent_since = self._store.clock.monotonic()
        return session

    patch.setattr(MemoryBroker, "open_session", unbeaten)


@saboteur("a-lapse-is-final", "cannot revive a session whose lease ran out once", killed_by=("ses.lapse-revived",))
def _(patch: pytest.MonkeyPatch) -> None:
    resume = MemorySession.resume

    def too_late(self: MemorySession) -> None:
        if not self._state.lapsed(self._store.clock.monotonic()):
            resume(self)

    patch.setattr(MemorySession, "resume", too_late)


@saboteur(
    "a-lapse-fences",
    "refuses the settlements of a session that only missed its beats",
    killed_by=("ses.lapsed-still-works",),
)
def _(patch: pytest.MonkeyPatch) -> None:
    settle = settling.settle

    def harsh(store: Store, session: SessionState, batch: Sequence[Settlement], number: int) -> Sequence[Settled]:
        if session.lapsed(store.clock.monotonic()):
            return [STALE] * len(batch)
        return settle(store, session, batch, number)

    patch.setattr(settling, "settle", harsh)


@saboteur("leave-is-loss", "counts what a leaving session hands back as lost", killed_by=("ses.leave-releases",))
def _(patch: pytest.MonkeyPatch) -> None:
    def leave(store: Store, session: SessionState) -> None:
        handover.reap(store, session)
        handover.rehome(store, len(store.orphans), only=session.id)
        session.fenced, session.closed = False, True

    patch.setattr(handover, "leave", leave)


@saboteur(
    "leave-releases-nothing",
    "ends the session and leaves what it held to the sweeper",
    killed_by=("ses.leave-releases", "set.not-before"),
)
def _(patch: pytest.MonkeyPatch) -> None:
    def leave(store: Store, session: SessionState) -> None:
        session.silent_since = store.clock.monotonic()
        session.end(fenced=False)

    patch.setattr(handover, "leave", leave)


@saboteur("leaves-once", "fails when a session is left again", killed_by=("ses.leave-releases", "ses.reap-fences"))
def _(patch: pytest.MonkeyPatch) -> None:
    async def leave(self: MemorySession) -> None:
        with self._store.lock:
            handover.leave(self._store, self._state)

    patch.setattr(MemorySession, "leave", leave)


@saboteur("close-leaves", "leaves its sessions when the broker is closed", killed_by=("ses.close-is-not-leave",))
def _(patch: pytest.MonkeyPatch) -> None:
    close = MemoryBroker.close

    async def leaving(self: MemoryBroker) -> None:
        with self._store.lock:
            for session in list(self._sessions):
                if session.id in self._store.sessions:
                    handover.leave(self._store, session)
        await close(self)

    patch.setattr(MemoryBroker, "close", leaving)


@saboteur(
    "never-counts-lost", "does not count the sessions that died", killed_by=("ses.counts", "ses.expire-hands-over")
)
def _(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Counts, "bereaved", lambda self: self)


@saboteur("counts-lost-for-ever", "does not start the count of losses anew at a settlement", killed_by=("ses.counts",))
def _(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Counts, "retried", lambda self: Counts(self.attempt + 1, self.lost, self.released))


@saboteur(
    "losses-are-attempts",
    "counts a death of the session as a failed attempt",
    killed_by=("ses.counts", "ses.expire-hands-over"),
)
def _(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Counts, "bereaved", lambda self: Counts(self.attempt + 1, self.lost, self.released))


@saboteur("reuses-ids", "names a session by the number of those alive", killed_by=("ses.ids-never-reused",))
def _(patch: pytest.MonkeyPatch) -> None:
    name = Store.name

    def counted(self: Store, kind: str) -> str:
        return f"session-{len(self.sessions) + 1}" if kind == "session" else name(self, kind)

    patch.setattr(Store, "name", counted)


@saboteur("any-lease", "grants its least lease to whoever asks for less", killed_by=("ses.least-lease",))
def _(patch: pytest.MonkeyPatch) -> None:
    open_session = MemoryBroker.open_session

    async def lenient(self: MemoryBroker, queues: Sequence[QueueName], /, *, lease: float) -> Session:
        return await open_session(self, queues, lease=max(lease, LIMITS.min_lease))

    patch.setattr(MemoryBroker, "open_session", lenient)


@saboteur("beats-for-nobody", "takes a supervisor's beat without effect", killed_by=("ses.beat-for-another",))
def _(patch: pytest.MonkeyPatch) -> None:
    async def beat(self: MemoryBroker, session: SessionId, /) -> bool:
        return session in self._store.sessions

    patch.setattr(MemoryBroker, "beat", beat)


@saboteur("always-beats", "tells a supervisor that a reaped session lives", killed_by=("ses.beat-for-another",))
def _(patch: pytest.MonkeyPatch) -> None:
    beat = MemoryBroker.beat

    async def hopeful(self: MemoryBroker, session: SessionId, /) -> bool:
        await beat(self, session)
        return True

    patch.setattr(MemoryBroker, "beat", hopeful)
