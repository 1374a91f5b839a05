"""One connection a process for all that it is told and tells: wake-ups, signals, results. And how long it has been in touch."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from orcastra_core.model.errors import BrokerError
from orcastra_postgres.connect import Connection, connect
from orcastra_postgres.contact import Contact
from orcastra_postgres.errors import CLIENT_ERRORS, translate
from orcastra_postgres.pool import Pool
from orcastra_postgres.settings import Settings
from orcastra_postgres.statements import query

_log = logging.getLogger("orcastra.postgres")

_ASK_EVERY = 0.1
"""Seconds between two questions after the server while it matters how long it was heard: while somebody may be judged."""
_ASK_SELDOM = 1.0
"""The same where nothing is at stake but to notice that the connection is dead."""
_MATTERS = 10.0
"""Seconds for which it matters, if not said anew."""
_DEAF_AFTER = 1.5
"""Seconds without an answer after which the connection is given up."""
_RECONNECT = (0.05, 1.0)
"""Seconds of the first pause before a new connection, and of the longest."""
_LARGEST = 7900
"""Bytes of a notification; the server takes 7999."""


class Listener:
    """Listens, and notifies others: after the commit, what has gathered meanwhile in one statement.

    A message is handed to its channel's callback in the event loop. When the connection is lost, and when there is one
    again, each callback is called with None: it may have missed something. Where the settings say not to listen, it only
    notifies, and asks after the server, by way of the pool.
    """

    def __init__(self, settings: Settings, pool: Pool) -> None:
        self.contact = Contact()
        self.error: BaseException | None = None
        self.on_answer: Callable[[], None] = lambda: None
        self._settings = settings
        self._pool = pool
        self._callbacks: dict[str, Callable[[str | None], None]] = {}
        self._new: list[tuple[str, asyncio.Future[None]]] = []
        self._old: list[str] = []
        self._outgoing: dict[str, dict[str, None]] = {}
        self._something = asyncio.Event()
        self._reachable = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._conn: Connection | None = None
        self._stopped = False
        self._pid = 0
        self._matters_until = 0.0

    @property
    def listens(self) -> bool:
        """Whether messages come at all."""
        return self._settings.direct is not None

    def start(self) -> None:
        """Begin, in a task that ``stop`` ends."""
        self._pool.on_connected = self._reachable.set
        self.matters()
        self._task = asyncio.get_running_loop().create_task(self._live(), name="orcastra-postgres-listener")

    async def stop(self) -> None:
        """End. Idempotent."""
        task, self._task, self._stopped = self._task, None, True
        if task is not None:
            if self._conn is None:
                task.cancel()
            else:  # what is under way ends by itself then; to cancel it would make the client library ask the server for that
                self._conn.terminate()
                self._something.set()
            await asyncio.wait([task])
        for _, heard in self._new:
            heard.cancel()

    async def add(self, channel: str, callback: Callable[[str | None], None]) -> None:
        """Listen to a channel; returns once what is said there is heard. Raises BrokerError if it takes too long."""
        self._callbacks[channel] = callback
        if not self.listens:
            return
        heard: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._new.append((channel, heard))
        self._something.set()
        try:
            async with asyncio.timeout(self._settings.timeout):
                await heard
        except TimeoutError as error:
            self.drop(channel)
            raise translate(error, self._settings.where) from error
        except BaseException:
            self.drop(channel)
            raise

    def drop(self, channel: str) -> None:
        """Listen to a channel no more; the server is told some time."""
        if self._callbacks.pop(channel, None) is not None and self.listens:
            self._old.append(channel)
            self._something.set()

    def matters(self) -> None:
        """Note that it matters how long the server was heard, for the next seconds: ask often."""
        now = asyncio.get_running_loop().time()
        if now >= self._matters_until:
            self._something.set()
        self._matters_until = now + _MATTERS

    def hears(self, channel: str) -> bool:
        """Whether a channel is our own."""
        return channel in self._callbacks

    def tell(self, channel: str, line: str) -> None:
        """Have a line sent to others, soon; what has gathered by then goes together. A line that cannot be sent is not."""
        if "\0" in line or not _encodable(line):
            return  # the name of no queue, then; and nobody else's lines must be lost with it
        self._outgoing.setdefault(channel, {})[line] = None
        self._something.set()

    async def _live(self) -> None:
        pause, quiet = _RECONNECT[0], False
        while not self._over():
            began = asyncio.get_running_loop().time()
            try:
                if self.listens:
                    await self._converse()
                else:
                    await self._ask_through_pool()
            except (*CLIENT_ERRORS, BrokerError) as error:
                if self._over():
                    break
                if asyncio.get_running_loop().time() - began > _RECONNECT[1]:
                    pause, quiet = _RECONNECT[0], False
                if not quiet:
                    _log.warning("%s; connecting again", translate(error, self._settings.where))
                    quiet = True
                self.error = error
                self.contact.lost()
                self._call_all()
            if self._over():
                return
            await self._rest(pause * random.uniform(0.5, 1.0))
            pause = min(pause * 2, _RECONNECT[1])

    async def _rest(self, seconds: float) -> None:
        """Pause before a new connection, but no longer than until another one of ours could be made."""
        self._reachable.clear()
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._reachable.wait()

    def _over(self) -> bool:
        return self._stopped

    async def _converse(self) -> None:
        conn = await connect(self._settings, name=f"{self._settings.application_name}-listen", direct=True, flush=False)
        self._conn = conn
        try:
            self._pid = conn.get_server_pid()
            conn.add_termination_listener(lambda _: self._something.set())
            for channel in list(self._callbacks):
                await conn.add_listener(channel, self._hear)
            self._call_all()
            await self._attend(conn)
        finally:
            self._conn = None
            with suppress(*CLIENT_ERRORS):
                conn.terminate()

    async def _attend(self, conn: Connection) -> None:
        loop = asyncio.get_running_loop()
        asked = 0.0
        while not self._over():
            if loop.time() - asked >= self._every(loop.time()):
                asked = loop.time()
                await self._say(conn, conn.fetchrow(query("ask", self._settings.schema)), ask=True)
            for channel, heard in self._take_new():
                await self._say(conn, conn.add_listener(channel, self._hear))
                if not heard.done():
                    heard.set_result(None)
            while self._old:
                channel = self._old.pop()
                if channel not in self._callbacks:
                    await self._say(conn, conn.remove_listener(channel, self._hear))
            if self._outgoing:
                channels, payloads = self._take_outgoing()
                await self._say(conn, conn.execute(query("notify", self._settings.schema), channels, payloads))
            await self._pause(asked)

    async def _say(self, conn: Connection, statement: Any, *, ask: bool = False) -> None:
        timer = asyncio.get_running_loop().call_later(_DEAF_AFTER, conn.terminate)
        try:
            said = await statement
        finally:
            timer.cancel()
        if ask:
            self._heard(said)

    async def _ask_through_pool(self) -> None:
        ask, notify = query("ask", self._settings.schema), query("notify", self._settings.schema)
        asked = 0.0
        loop = asyncio.get_running_loop()
        while True:
            if loop.time() - asked >= self._every(loop.time()):
                asked = loop.time()
                self._heard(await self._pool.run(lambda conn: conn.fetchrow(ask)))
            if self._outgoing:
                channels, payloads = self._take_outgoing()
                await self._pool.run(lambda conn, c=channels, p=payloads: conn.execute(notify, c, p))  # type: ignore[misc]
            await self._pause(asked)

    def _every(self, now: float) -> float:
        return _ASK_EVERY if now < self._matters_until else _ASK_SELDOM

    async def _pause(self, asked: float) -> None:
        try:
            async with asyncio.timeout_at(asked + self._every(asyncio.get_running_loop().time())):
                await self._something.wait()
        except TimeoutError:
            pass
        self._something.clear()

    def _heard(self, said: Any) -> None:
        # what was asked seldom tells nothing of the time between: it is a silence like any other
        self.contact.heard(asyncio.get_running_loop().time(), said[0], said[1], 2 * _ASK_EVERY)
        self.on_answer()

    def _take_new(self) -> list[tuple[str, asyncio.Future[None]]]:
        taken, self._new = self._new, []
        return taken

    def _take_outgoing(self) -> tuple[list[str], list[str]]:
        channels: list[str] = []
        payloads: list[str] = []
        for channel, lines in self._outgoing.items():
            payload: list[str] = []
            size = 0
            for line in lines:
                length = len(line.encode()) + 1
                if payload and size + length > _LARGEST:
                    channels.append(channel)
                    payloads.append("\n".join(payload))
                    payload, size = [], 0
                payload.append(line)
                size += length
            channels.append(channel)
            payloads.append("\n".join(payload))
        self._outgoing = {}
        return channels, payloads

    def _call_all(self) -> None:
        for callback in list(self._callbacks.values()):
            callback(None)

    def _hear(self, _conn: Any, pid: int, channel: str, payload: object) -> None:
        callback = self._callbacks.get(channel)
        if callback is None or pid == self._pid:  # what we say ourselves is known here already
            return
        for line in str(payload).split("\n"):
            callback(line)


def _encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
