"""What an open broker has, for the event loop that opened it."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import logging
import os
from collections.abc import Awaitable, Callable, Iterable
from typing import TYPE_CHECKING, Any

from orcastra_core.interfaces.clock import Clock
from orcastra_core.model.errors import BrokerError
from orcastra_core.model.ids import TaskId
from orcastra_postgres.chores import Chores
from orcastra_postgres.lending import Transactions
from orcastra_postgres.listener import Listener
from orcastra_postgres.pool import Pool
from orcastra_postgres.settings import Settings
from orcastra_postgres.statements import call, query
from orcastra_postgres.sweep import Watch

if TYPE_CHECKING:
    from orcastra_postgres.results import PostgresFeed
    from orcastra_postgres.session import PostgresSession

_log = logging.getLogger("orcastra.postgres")

LARGEST_PUSHED = 5600
"""Bytes of a result that goes with its notification; who waits for a larger one is told to read it."""

_LONGEST_REPLY = 30

LOOKING = "look-"
"""What the channels of feeds begin with that are not notified: their results are laid out for them."""


class Core:
    """The open half of a broker.

    Attributes:
        settings: From its URL.
        pool: Connections for calls.
        transactions: Connections for tasks that write in the transaction they are settled in.
        listener: What it is told, and tells.
        domain: The domain's number.
        offset: Seconds the server's clock is ahead of ours.
        loop: To which it belongs.
        pid: And to which process.
        closed: Whether ``close`` was called.
        sessions: Those that are open.
        feeds: By their channels.
        lanes: The numbers of those lanes that were published to, by queue and level.
        chores: What has to be done now and then.
        watch: Looks after sessions whose processes were killed.
    """

    def __init__(self, settings: Settings, clock: Clock) -> None:
        self.settings = settings
        self.pool = Pool(settings)
        self.transactions = Transactions(settings)
        self.listener = Listener(settings, self.pool)
        self.domain = 0
        self.offset = 0.0
        self.loop = asyncio.get_running_loop()
        self.pid = os.getpid()
        self.closed = False
        self.sessions: set[PostgresSession] = set()
        self.feeds: dict[str, PostgresFeed] = {}
        self.lanes: dict[tuple[str, int], int] = {}
        self._clock = clock
        self._name = hashlib.md5(settings.schema.encode(), usedforsecurity=False).hexdigest()[:12]
        self._chores: asyncio.Queue[Callable[[], Awaitable[Any]]] = asyncio.Queue()
        self._doing: asyncio.Task[None] | None = None
        self._pushed: list[tuple[str, bytes]] = []
        self.chores = Chores(self)
        self.watch = Watch(self)

    def now(self) -> float:
        """Return the server's Unix time, about."""
        return self._clock.now() + self.offset

    async def call(self, name: str, *args: Any) -> Any:
        """Call a function of ours and return its row. Raises errors of ours only."""
        statement = call(name, self.settings.schema, len(args))
        return await self.pool.run(lambda conn: conn.fetchrow(statement, *args))

    async def rows(self, name: str, *args: Any) -> Any:
        """Call a function of ours that returns rows."""
        statement = call(name, self.settings.schema, len(args))
        return await self.pool.run(lambda conn: conn.fetch(statement, *args))

    async def ask(self, name: str, *args: Any) -> Any:
        """Run a query of ours and return its rows."""
        statement = query(name, self.settings.schema)
        return await self.pool.run(lambda conn: conn.fetch(statement, *args))

    async def start(self) -> None:
        """Start what runs beside the calls."""
        self.listener.on_answer = self.watch.tick
        self.listener.start()
        self._doing = self.loop.create_task(self._do_chores(), name="orcastra-postgres-chores")
        await self.listener.add(self.channel(), self._told)

    def later(self, chore: Callable[[], Awaitable[Any]]) -> None:
        """Have something done that nobody waits for."""
        self._chores.put_nowait(chore)

    async def close(self) -> None:
        """End all of it."""
        self.closed = True
        if self._doing is not None:
            self._doing.cancel()
            await asyncio.wait([self._doing])
        await self.listener.stop()
        await self.transactions.close()
        await self.pool.close()

    def channel(self, feed: str = "") -> str:
        """Return the name of the domain's channel, or of one of its feeds'."""
        return f"orcastra:{self._name}:{self.domain}" + (f":{feed}" if feed else "")

    def tell_ready(self, queues: Iterable[str], *, elsewhere: bool = True) -> None:
        """Wake whoever waits for these queues, here and, if somebody is known to wait, elsewhere."""
        for queue in queues:
            self._wake(queue)
            if elsewhere:
                self.listener.tell(self.channel(), f"q{queue}")

    def tell_due(self) -> None:
        """Have all sessions told that the next due moment has moved."""
        self._due()
        self.listener.tell(self.channel(), "d")

    def tell_wishes(self) -> None:
        """Have all sessions look for wishes to cancel."""
        self._look()
        self.listener.tell(self.channel(), "c")

    def tell_fenced(self, number: int) -> None:
        """Have a session told that it was reaped."""
        self._fence(number)
        self.listener.tell(self.channel(), f"f{number}")

    def push(self, reply: str, task_id: TaskId, result: bytes) -> None:
        """Send a result to a feed, or word that it can be read."""
        if not (reply.isascii() and reply.isprintable() and len(reply) <= _LONGEST_REPLY):
            return  # no feed of ours is called that, and not everything can be the name of a channel
        feed = self.feeds.get(reply)
        if feed is not None:
            feed.receive(result)
        elif reply.startswith(LOOKING):
            if not self._pushed:
                self.later(self._lay_out)
            self._pushed.append((reply, result))
        elif len(result) > LARGEST_PUSHED:
            self.listener.tell(self.channel(reply), f"h{task_id}")
        else:
            self.listener.tell(self.channel(reply), "r" + base64.b64encode(result).decode())

    async def _lay_out(self) -> None:
        pushed, self._pushed = self._pushed, []
        await self.ask("push", self.domain, [one[0] for one in pushed], [one[1] for one in pushed])

    def _told(self, line: str | None) -> None:
        if line is None:
            for session in self.sessions:
                session.look()
                session.wake()
        elif line[:1] == "q":
            self._wake(line[1:])
        elif line == "d":
            self._due()
        elif line == "c":
            self._look()
        elif line[:1] == "f" and line[1:].isdecimal():
            self._fence(int(line[1:]))

    def _wake(self, queue: str) -> None:
        for session in self.sessions:
            session.wake(queue)

    def _due(self) -> None:
        for session in self.sessions:
            session.due_soon()

    def _look(self) -> None:
        for session in self.sessions:
            session.look()

    def _fence(self, number: int) -> None:
        for session in list(self.sessions):
            if session.number == number:
                session.fence()

    async def _do_chores(self) -> None:
        while True:
            chore = await self._chores.get()
            try:
                await chore()
            except BrokerError as error:
                _log.debug("%s", error)
