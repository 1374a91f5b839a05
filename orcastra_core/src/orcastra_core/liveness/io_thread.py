"""Staying alive by keeping the whole client in a second event loop.

For protocols whose liveness is the connection's own poll (Kafka): fetch and
settle cross between the loops, once a batch. Costs about a quarter of the
throughput on Redis, so take ``BeatThread`` where the protocol leaves a choice.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, ParamSpec, TypeVar

from orcastra_core.model.errors import BrokerClosed

P = ParamSpec("P")
T = TypeVar("T")


class IoThread:
    """An event loop in a daemon thread, of the kind that its owner's is, and a way to call into it.

    Use as an async context manager. Calls still running at its end are cancelled.
    """

    def __init__(self, name: str) -> None:
        self._pid = os.getpid()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._kind: type[asyncio.AbstractEventLoop] | None = None
        self._stopping: asyncio.Event | None = None
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"orcastra-io-{name}", daemon=True)

    async def __aenter__(self) -> IoThread:
        self._kind = type(asyncio.get_running_loop())
        self._thread.start()
        await asyncio.to_thread(self._ready.wait)
        return self

    async def __aexit__(self, *exc: object) -> None:
        loop, stopping = self._loop, self._stopping
        self._loop = None
        if loop is None or stopping is None or self._pid != os.getpid():
            return
        loop.call_soon_threadsafe(stopping.set)
        await asyncio.to_thread(self._thread.join, 5.0)

    async def call(self, function: Callable[P, Awaitable[T]], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Await ``function(*args)`` in the thread's loop and return its answer.

        Cancelling the caller cancels the call over there.

        Raises:
            BrokerClosed: The thread is not running, or ended during the call.
        """
        loop = self._loop
        if loop is None or self._pid != os.getpid():
            raise BrokerClosed("the I/O thread is not running in this process")

        async def run() -> T:
            return await function(*args, **kwargs)

        crossing: Coroutine[Any, Any, T] = run()
        try:
            future = asyncio.run_coroutine_threadsafe(crossing, loop)
        except RuntimeError:
            crossing.close()
            raise BrokerClosed("the I/O thread has ended") from None
        try:
            return await asyncio.wrap_future(future)
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                future.cancel()
                raise
            raise BrokerClosed("the I/O thread ended during the call") from None

    def _run(self) -> None:
        async def live() -> None:
            self._loop, self._stopping = asyncio.get_running_loop(), asyncio.Event()
            self._ready.set()
            await self._stopping.wait()

        with asyncio.Runner(loop_factory=self._kind) as runner:  # cancels what is still running when live() returns
            runner.run(live())
