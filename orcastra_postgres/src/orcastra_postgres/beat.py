"""A session's beat, in a thread and on a connection of its own, which holds the session's advisory lock."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress

from orcastra_core.liveness.beat_thread import BeatThread
from orcastra_core.model.errors import BrokerError, BrokerTimeout
from orcastra_postgres.connect import Connection, connect
from orcastra_postgres.errors import CLIENT_ERRORS, translate
from orcastra_postgres.settings import Settings
from orcastra_postgres.statements import call, query


def beat_name(settings: Settings, session: str) -> str:
    """Return what pg_stat_activity calls the connection that a session beats by."""
    return f"orcastra-beat-{session}"[:63]


class Beat:
    """Keeps a session alive, and its lock held: when this process ends, the lock is free at once, and others see it.

    Attributes:
        beats: How many got through.
    """

    def __init__(
        self, settings: Settings, number: int, session: str, lease: float, on_fenced: Callable[[], None]
    ) -> None:
        self.beats = 0
        self._settings = settings
        self._number = number
        self._session = session
        # an answer that takes longer than a quarter of a lease is none; on a busy machine a few hundredths are nothing
        self._patience = max(0.2, min(settings.timeout, lease / 4))
        self._conn: Connection | None = None
        self._locked = False
        self._relocking: asyncio.Task[None] | None = None
        self._suspended = False
        self._over = False
        self._beating = threading.Lock()
        self._turn = asyncio.Lock()  # of a beat, and of taking the lock again
        self._thread = BeatThread(
            session, lease=lease, beat=self._once, on_fenced=on_fenced, on_stop=self._close, at_once=True
        )

    def start(self) -> None:
        """Start."""
        self._thread.start()

    def stop(self) -> None:
        """Stop, and wait for the thread."""
        self._thread.stop()

    def suspend(self) -> None:
        """Only seem to beat from now on; returns once a beat under way is over. For tests."""
        self._suspended = True
        with self._beating:
            pass

    def resume(self) -> None:
        """Beat again. For tests."""
        self._suspended = False

    async def _once(self) -> bool:
        with self._beating:
            if self._suspended:
                return True
            return await self._beat()

    async def _beat(self) -> bool:
        async with self._turn:
            had = self._conn is not None
            try:
                return await self._say()
            except BrokerTimeout:
                raise
            except BrokerError:
                if not had:
                    raise
            # the connection was cut in the middle of it, and the lock is free: take it again at once
            return await self._say()

    async def _say(self) -> bool:
        late = False
        timer: asyncio.TimerHandle | None = None
        try:
            conn = self._conn
            if conn is None or conn.is_closed():
                async with asyncio.timeout(1.5 * self._patience):
                    conn = await self._connect()

            def expire(deaf: Connection = conn) -> None:
                nonlocal late
                late = True
                deaf.terminate()

            timer = asyncio.get_running_loop().call_later(self._patience, expire)
            if self._settings.direct is not None and not self._locked:
                self._locked = await conn.fetchval(query("lock_session", self._settings.schema), self._number)
            schema = self._settings.schema
            alive = await conn.fetchval(call("beat", schema, 3), self._number, self._session, self._locked or None)
            self.beats += 1
            return bool(alive)
        except CLIENT_ERRORS as error:
            await self._close()
            if late:
                raise BrokerTimeout(f"{self._settings.where}: a beat got no answer in time") from error
            raise translate(error, self._settings.where) from error
        finally:
            if timer is not None:
                timer.cancel()

    async def _connect(self) -> Connection:
        await self._close()
        name = beat_name(self._settings, self._session)
        direct = self._settings.direct is not None
        self._over = False
        self._conn = conn = await connect(self._settings, name=name, direct=direct, flush=False)
        conn.add_termination_listener(self._lost)
        return conn

    def _lost(self, conn: object) -> None:
        # the lock is free now, and others may soon take that for our death: take it again at once
        if conn is self._conn and not self._over:
            self._relocking = asyncio.get_running_loop().create_task(self._relock(), name="orcastra-postgres-relock")

    async def _relock(self) -> None:
        with suppress(BrokerError):
            if not self._suspended:
                await self._beat()

    async def _close(self) -> None:
        conn, self._conn, self._locked, self._over = self._conn, None, False, True
        if conn is not None:
            with suppress(*CLIENT_ERRORS):
                conn.terminate()
