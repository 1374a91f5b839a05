"""One subscription for all that a broker is to be told: wake-ups, signals, results. And how long it has been in touch."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from orcastra_core.model.errors import BrokerError
from orcastra_redis.errors import CLIENT_ERRORS, translate
from orcastra_redis.link import Link

_log = logging.getLogger("orcastra.redis")

_PING_EVERY = 0.15
_TELLING = 0.55
"""The part of a lease that may pass in silence without doubt about who was silent."""
_DEAF_AFTER = 1.5
"""Seconds without an answer after which the connection is given up."""
_WELL_AFTER = 1.0
"""Seconds after which a connection was a good one: the end of it is worth a line in the log, and the next is tried at once."""
_RECONNECT = (0.05, 1.0)
"""Seconds of the first pause before a new connection, and of the longest."""


class Listener:
    """Subscribes to channels on a connection of its own, and keeps it alive.

    A message is handed to the channel's callback in the event loop. When the
    connection is lost, and when there is one again, each callback is called with None: it may have missed something.

    Attributes:
        error: What the connection was lost by, the last time.
        incarnation: The run_id of the server that is heard: another one after a restart, or a failover.
    """

    def __init__(self, link: Link) -> None:
        self._link = link
        self._callbacks: dict[str, Callable[[bytes | None], None]] = {}
        self._subscribed: dict[str, asyncio.Event] = {}
        self._pubsub: Any = None
        self._wanted = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._since: float | None = None
        self.error: BaseException | None = None
        self.incarnation = ""
        self._answered = 0.0
        self._gaps: list[
            tuple[float, float]
        ] = []  # silences: when each ended, and how long it was; later ones are shorter

    def start(self) -> None:
        """Begin to listen, in a task that ``stop`` ends."""
        self._task = asyncio.get_running_loop().create_task(self._live(), name="orcastra-redis-listener")

    async def stop(self) -> None:
        """Stop listening. Idempotent."""
        task, self._task = self._task, None
        while task is not None and not task.done():
            task.cancel()  # the client library may swallow one while it closes a connection
            await asyncio.wait([task], timeout=0.1)

    def in_touch(self, lease: float) -> bool:
        """Whether the server was heard for a whole lease, without a silence in which a healthy session could have lapsed.

        Args:
            lease: Seconds. A session beats four times within it, so after more than half of it in silence nobody can tell
                whether it was the session or the server that did nothing.
        """
        if self._since is None:
            return False
        now = asyncio.get_running_loop().time()
        return now - self._since >= lease and not any(
            length > lease * _TELLING and now - ended < lease for ended, length in self._silences(now)
        )

    def _silences(self, now: float) -> list[tuple[float, float]]:
        return [*self._gaps, (now, now - self._answered)]

    def _heard(self, now: float) -> None:
        length, self._answered = now - self._answered, now
        if self._since is None:
            self._since, self._gaps = now, []
        elif length > 2 * _PING_EVERY:
            self._gaps = [gap for gap in self._gaps if gap[1] > length]
            self._gaps.append((now, length))

    async def add(self, channel: str, callback: Callable[[bytes | None], None]) -> None:
        """Listen to a channel; returns once what is said there is heard. Raises BrokerError if it takes too long."""
        self._callbacks[channel] = callback
        heard = self._subscribed[channel] = asyncio.Event()
        if self._pubsub is None:
            self._wanted.set()
        try:
            async with asyncio.timeout(self._link.settings.timeout):
                await self._say(channel)
                await heard.wait()
        except TimeoutError as error:
            self.drop(channel)
            raise translate(error, self._link.where) from error

    def drop(self, channel: str) -> None:
        """Listen to a channel no more; the server is told some time."""
        self._callbacks.pop(channel, None)
        self._subscribed.pop(channel, None)

    async def _say(self, channel: str) -> None:
        if self._pubsub is not None:
            with suppress(*CLIENT_ERRORS):  # the task connects again and says it then
                await self._pubsub.subscribe(channel)

    async def _live(self) -> None:
        pause, quiet = _RECONNECT[0], False
        while True:
            self._wanted.clear()
            self._link.waiting = self._wanted
            try:
                await self._listen()
            except CLIENT_ERRORS as error:
                if self._since is not None and self._answered - self._since > _WELL_AFTER:
                    pause, quiet = _RECONNECT[0], False
                if not quiet:
                    _log.warning("%s; connecting again", translate(error, self._link.where))
                    quiet = True
                if self._since is not None:
                    self._lost(error)
            try:
                async with asyncio.timeout(pause * random.uniform(0.5, 1.0)):
                    # a pause ends when somebody wants to be heard, or has been answered: from then on pushes would be missed
                    await self._wanted.wait()
            except TimeoutError:
                pass
            pause = min(pause * 2, _RECONNECT[1])

    def _lost(self, error: BaseException | None = None) -> None:
        self._since, self.error = None, error
        for callback in list(self._callbacks.values()):
            callback(None)

    async def _listen(self) -> None:
        loop = asyncio.get_running_loop()
        client = await self._link.reach()
        pubsub = client.pubsub()
        try:
            said = {f"{self._link.prefix}hello", *self._callbacks}
            await pubsub.subscribe(*said)
            self._pubsub, self._link.waiting = pubsub, None
            if late := self._callbacks.keys() - said:  # added meanwhile
                await pubsub.subscribe(*late)
            # after the subscription: of a server that is not the one subscribed to the connection is over soon
            self.incarnation = str((await client.info("server")).get("run_id", ""))
            for callback in list(self._callbacks.values()):
                callback(None)
            answered = asked = before = loop.time()
            while self._link.client is client:  # else the domain has moved to another server: follow it
                now = loop.time()
                if now - before > _DEAF_AFTER:  # this loop was held up: it is no wonder that it heard nothing
                    answered = now
                before = now
                if now - asked >= _PING_EVERY:
                    asked = now
                    await pubsub.ping()
                try:
                    async with asyncio.timeout(_PING_EVERY):
                        message = await pubsub.parse_response(block=True)
                except TimeoutError:
                    now = loop.time()
                    if now - before <= _DEAF_AFTER < now - answered:
                        raise
                    continue
                answered = loop.time()
                self._heard(answered)
                self._hand_on(message)
            self._lost()
        except CLIENT_ERRORS:
            # the idle ones are over too, and the next try is not to be given one of them
            await client.connection_pool.disconnect(inuse_connections=False)
            await self._link.leave(client)
            raise
        finally:
            self._pubsub, self._link.waiting = None, self._wanted
            with suppress(*CLIENT_ERRORS, BrokerError):
                await pubsub.aclose()

    def _hand_on(self, message: Any) -> None:
        if not isinstance(message, list) or len(message) < 3:
            return
        kind, channel = bytes(message[0]), bytes(message[1]).decode()
        if kind == b"subscribe":
            heard = self._subscribed.get(channel)
            if heard is not None:
                heard.set()
        elif kind == b"message":
            callback = self._callbacks.get(channel)
            if callback is not None:
                callback(bytes(message[2]))
