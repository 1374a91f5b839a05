"""A few connections, and the calls that wait for one."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, Generic, TypeVar

import asyncpg

from orcastra_core.model.errors import BrokerClosed, BrokerTimeout
from orcastra_postgres.connect import Connection, connect
from orcastra_postgres.errors import CLIENT_ERRORS, ends_connections, translate
from orcastra_postgres.settings import Settings

T = TypeVar("T")

_TURNS = 3


class _Call(Generic[T]):
    __slots__ = ("future", "work")

    def __init__(self, work: Callable[[Connection], Awaitable[T]], future: asyncio.Future[T]) -> None:
        self.work = work
        self.future = future


class Pool:
    """Runs calls, each on a connection of its own for as long as it takes.

    A call that is cancelled before its turn is withdrawn. One that has begun goes on without its caller, so that a connection
    is never left in the middle of something. Nothing is tried again, but for
    what the server undid wholly.
    """

    def __init__(self, settings: Settings, *, size: int | None = None) -> None:
        self.on_connected: Callable[[], None] = lambda: None
        self._settings = settings
        self._size = size or settings.pool
        self._waiting: deque[_Call[Any]] = deque()
        self._idle: list[asyncio.Future[_Call[Any]]] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._connections: set[Connection] = set()
        self._busy: set[_Call[Any]] = set()
        self._working: set[asyncio.Task[None]] = set()
        self._generation = 0
        self._closed = False

    async def run(self, work: Callable[[Connection], Awaitable[T]]) -> T:
        """Run ``work`` and return its answer. Raises errors of ours, nothing else of what the client library raises."""
        loop = asyncio.get_running_loop()
        if self._closed:
            raise self._over()
        future: asyncio.Future[T] = loop.create_future()
        call = _Call(work, future)
        if self._idle:
            self._idle.pop().set_result(call)
        else:
            self._waiting.append(call)
            if len(self._tasks) < self._size:
                task = loop.create_task(self._serve(), name="orcastra-postgres-pool")
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)
        return await future

    def forget(self) -> None:
        """Use none of the present connections again: the server they lead to is not the one any more."""
        self._generation += 1

    async def close(self) -> None:
        """Free all callers and end all connections."""
        self._closed = True
        for call in [*self._waiting, *self._busy]:
            if not call.future.done():
                call.future.set_exception(self._over())
        self._waiting.clear()
        for conn in list(self._connections):
            conn.terminate()
        # work under way ends by itself now; to cancel it would make the client library ask the server for that, in a task of its own
        for task in self._tasks - self._working:
            task.cancel()
        if self._tasks:
            await asyncio.wait(list(self._tasks))

    def _over(self) -> BrokerClosed:
        return BrokerClosed(f"{self._settings.where}: the broker was closed")

    async def _serve(self) -> None:
        loop = asyncio.get_running_loop()
        me = asyncio.current_task(loop)
        assert me is not None
        conn: Connection | None = None
        made = 0
        try:
            while not self._closed:  # a cancellation may be lost in the client library: a rollback that fails hides it
                if self._waiting:
                    call = self._waiting.popleft()
                else:
                    idle: asyncio.Future[_Call[Any]] = loop.create_future()
                    self._idle.append(idle)
                    call = await idle
                if call.future.done():
                    continue
                self._busy.add(call)
                expired = False
                timer: asyncio.TimerHandle | None = None
                try:
                    if conn is not None and (conn.is_closed() or made != self._generation):
                        self._drop(conn)
                        conn = None
                    if conn is None:
                        made = self._generation
                        conn = await connect(self._settings, name=self._settings.application_name)
                        self._connections.add(conn)
                        self.on_connected()

                    def expire(late: Connection = conn) -> None:
                        nonlocal expired
                        expired = True
                        late.terminate()

                    timer = loop.call_later(self._settings.timeout, expire)
                    self._working.add(me)
                    answer = await _run(call.work, conn)
                except CLIENT_ERRORS as error:
                    if conn is not None and (expired or ends_connections(error)):
                        if not expired:
                            self._generation += 1
                        self._drop(conn)
                        conn = None
                    self._fail(call, error, expired)
                except Exception as error:  # noqa: BLE001 - it is the caller's, whatever it is
                    if not call.future.done():
                        call.future.set_exception(error)
                else:
                    if not call.future.done():
                        call.future.set_result(answer)
                finally:
                    self._busy.discard(call)
                    self._working.discard(me)
                    if timer is not None:
                        timer.cancel()
        finally:
            if conn is not None:
                self._drop(conn)

    def _fail(self, call: _Call[Any], error: BaseException, expired: bool) -> None:
        if call.future.done():
            return
        ours = (
            BrokerTimeout(f"{self._settings.where}: no answer within {self._settings.timeout:g} s")
            if expired
            else translate(error, self._settings.where)
        )
        if ours is not error:
            ours.__cause__ = error
        call.future.set_exception(ours)

    def _drop(self, conn: Connection) -> None:
        self._connections.discard(conn)
        with suppress(*CLIENT_ERRORS):
            conn.terminate()


async def _run(work: Callable[[Connection], Awaitable[T]], conn: Connection) -> T:
    """Run a call; again if the server undid all of it to let another one pass, which may happen to anybody."""
    for _ in range(_TURNS):
        try:
            return await work(conn)
        except (asyncpg.DeadlockDetectedError, asyncpg.SerializationError):
            continue
    return await work(conn)
