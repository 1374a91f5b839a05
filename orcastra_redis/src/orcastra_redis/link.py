"""The way to the server: clients without retries of their own, and scripts by name."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Sequence
from functools import cache
from importlib.resources import files
from typing import Any

from redis.exceptions import ConnectionError as NoConnection
from redis.exceptions import MovedError, NoScriptError, ReadOnlyError, ResponseError
from redis.exceptions import TimeoutError as NoAnswer

from orcastra_core.model.errors import BrokerClosed, BrokerError
from orcastra_redis.clients import connect
from orcastra_redis.errors import CLIENT_ERRORS, translate
from orcastra_redis.route import Route
from orcastra_redis.settings import Address, Settings

_READING = frozenset({"dead_letters", "find", "held", "inspect", "results", "survey"})
"""Scripts that change nothing that anybody relies on."""


@cache
def script(name: str) -> tuple[str, str]:
    """Return a script's text, prelude included, and its digest."""
    folder = files("orcastra_redis") / "scripts"
    text = (folder / "prelude.lua").read_text() + (folder / f"{name}.lua").read_text()
    return hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest(), text


class Link:
    """One client of the server, for one event loop.

    A silent repeat of a script would be a second hand-over: nothing is retried here, the runtime decides.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.prefix = settings.prefix
        self.where = f"redis at {settings.path or ', '.join(f'{host}:{port}' for host, port in settings.hosts)}"
        # On a cluster a key that never is goes with it: while the slot is on the move and some of its keys are elsewhere,
        # the server refuses a script (TRYAGAIN, ASK) instead of stopping it half-way.
        self._keys = (2, f"{self.prefix}meta", f"{self.prefix}-") if settings.cluster else (1, f"{self.prefix}meta")
        self.waiting: asyncio.Event | None = None
        """Set when the server has answered a call: for who pauses before it connects again."""
        self._closed = False
        self._route = Route(settings) if settings.routed else None
        self._searching = asyncio.Lock()
        self._hint: Address | None = None
        self._former: Any = None
        self.client: Any = None if self._route is not None else connect(settings)

    async def run(self, name: str, *args: Any) -> Any:
        """Run a script of ours; ARGV begins with the prefix. Raises BrokerError, nothing else."""
        digest, text = script(name)
        try:
            return await self.call("EVALSHA", digest, *self._keys, self.prefix, *args, lasting=name not in _READING)
        except BrokerError as error:
            if not isinstance(error.__cause__, NoScriptError):
                raise
        # a new server, or SCRIPT FLUSH: it had no effect
        return await self.call("EVAL", text, *self._keys, self.prefix, *args, lasting=name not in _READING)

    async def call(self, *command: Any, lasting: bool = False) -> Any:
        """Run one command on a key of the domain; with ``lasting`` on as many replicas as the URL wants. Raises BrokerError, nothing else."""
        task = asyncio.current_task()
        wishes = task.cancelling() if task is not None else 0
        try:
            answer = await self._ask(command, self.settings.wait_replicas if lasting else 0)
        except CLIENT_ERRORS as error:
            if task is not None and task.cancelling() > wishes:
                raise asyncio.CancelledError from error  # the client library (8.1) made something else of it
            if self._closed:
                raise BrokerClosed(f"{self.where}: the broker was closed") from error
            raise translate(error, self.where) from error
        if task is not None and task.cancelling() > wishes:
            raise asyncio.CancelledError  # the client library (8.1) swallowed it
        if self.waiting is not None:
            self.waiting.set()
        return answer

    async def reach(self) -> Any:
        """Return the client of the server that has the domain now. Raises errors of the client library."""
        if self._route is not None and self.client is None:
            async with self._searching:
                if self.client is None:
                    hint, self._hint = self._hint, None
                    self.client = await self._route.find(hint)
        if self._closed:
            await self.close()
            raise NoConnection("closed")
        return self.client

    async def _ask(self, command: Sequence[Any], replicas: int) -> Any:
        client = self.client or await self.reach()
        try:
            if replicas:
                return await self._replicated(client, command, replicas)
            return await client.execute_command(*command)
        except MovedError as error:  # it had no effect
            if self._route is None:
                raise
            await self.leave(client, self._route.named(error.host, error.port) if error.host else None)
            client = await self.reach()
            if replicas:
                return await self._replicated(client, command, replicas)
            return await client.execute_command(*command)
        except CLIENT_ERRORS as error:
            if not isinstance(error, ResponseError):
                # where one connection is over the idle ones are too, and not each is to cost a call
                await client.connection_pool.disconnect(inuse_connections=False)
                await self.leave(client)
            elif isinstance(error, ReadOnlyError):
                await self.leave(client)
            raise

    async def _replicated(self, client: Any, command: Sequence[Any], replicas: int) -> Any:
        pipeline = client.pipeline(transaction=False)
        pipeline.execute_command(*command)
        pipeline.execute_command("WAIT", replicas, round(self.settings.timeout * 800))  # less than the answer may take
        answer, reached = await pipeline.execute(raise_on_error=False)
        if isinstance(answer, Exception):
            raise answer
        if isinstance(reached, ResponseError):  # WAIT is for masters only
            raise ReadOnlyError(str(reached)) from reached
        if isinstance(reached, Exception):
            raise reached
        if reached < replicas:
            raise NoAnswer(f"{reached} replicas have it, not {replicas}")
        return answer

    async def leave(self, client: Any, hint: Address | None = None) -> None:
        """Give up a client, if another server may have the domain by now; what is under way goes on."""
        if self._route is not None and self.client is client:
            self.client, self._hint = None, hint
            former, self._former = self._former, client
            if former is not None:
                await _end(former)

    async def close(self) -> None:
        """Close its connections; a call under way gets BrokerClosed."""
        self._closed = True
        for client in (self.client, self._former):
            if client is not None:
                await _end(client)


async def _end(client: Any) -> None:
    try:
        await client.aclose()
    except CLIENT_ERRORS:
        pass  # the server is gone, and so are they
