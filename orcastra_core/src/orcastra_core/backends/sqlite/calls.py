"""Calls from the event loop into a daemon thread.

Not a ThreadPoolExecutor: the interpreter joins its threads at exit, and would
hang behind one that waits for a lock that a stopped process holds.
"""

from __future__ import annotations

import asyncio
import os
import threading
import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable
from typing import Any, Generic, TypeVar

from orcastra_core.backends.sqlite.errors import translate
from orcastra_core.model.errors import BrokerClosed, BrokerTimeout, WrongLoop

T = TypeVar("T")

NEW, BEGUN, WITHDRAWN = range(3)

GRACE = 0.8
"""Seconds that closing waits for what has begun."""


class Call(Generic[T]):
    """One call on its way. ``weight`` is about how many rows it touches."""

    __slots__ = ("durable", "future", "since", "state", "weight", "work")

    def __init__(self, work: Callable[[Any], T], future: asyncio.Future[T], durable: bool, weight: int) -> None:
        self.work = work
        self.future = future
        self.durable = durable
        self.weight = weight
        self.state = NEW
        self.since = time.monotonic()


class CallThread(ABC):
    """A daemon thread that serves calls in their order. Belongs to one event loop and one process."""

    def __init__(self, name: str, path: str, loop: asyncio.AbstractEventLoop) -> None:
        self.path = path
        self._loop = loop
        self._pid = os.getpid()
        self._wake = threading.Condition()
        self._queue: deque[Call[Any]] = deque()
        self._begun: list[Call[Any]] = []
        self._closing = False
        self._ended = loop.create_future()
        self._thread = threading.Thread(target=self._run, name=f"orcastra-sqlite-{name}", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    async def run(self, work: Callable[[Any], T], *, durable: bool = False, weight: int = 1) -> T:
        """Have ``work`` run in the thread and return its answer.

        A cancelled call that has not begun is withdrawn; one that has begun completes.

        Raises:
            BrokerClosed: The thread was told to close.
            BrokerTimeout: Its turn did not come in time; nothing was done.
            WrongLoop: Called from another process or event loop.
        """
        call = self._enqueue(work, durable, weight)
        try:
            return await call.future
        except asyncio.CancelledError:
            with self._wake:
                if call.state == NEW:
                    call.state = WITHDRAWN
            raise

    def run_later(self, work: Callable[[Any], object]) -> None:
        """Have ``work`` run in the thread after all that was asked for before; nobody waits for it."""
        try:
            call = self._enqueue(work, False, 1)
        except BrokerClosed:
            return
        call.future.add_done_callback(lambda future: future.cancelled() or future.exception())

    def expire_waiting(self, seconds: float) -> None:
        """Withdraw calls that have waited longer than ``seconds`` for their turn. Any thread."""
        before = time.monotonic() - seconds
        late: list[tuple[Call[Any], Any, BaseException | None]] = []
        with self._wake:
            while self._queue and self._queue[0].since < before:
                call = self._queue.popleft()
                if call.state == NEW:
                    call.state = WITHDRAWN
                    late.append(
                        (
                            call,
                            None,
                            BrokerTimeout(f"{self.path}: another process has kept the store for {seconds:g} s"),
                        )
                    )
        self._deliver(late)

    async def close(self) -> None:
        """Free all callers, and end the thread as soon as it can. Returns within a second, whatever holds the thread up."""
        with self._wake:
            self._closing = True
            waiting = list(self._queue)
            self._queue.clear()
            self._wake.notify()
        error = BrokerClosed(f"{self.path}: the broker was closed")
        self._resolve([(call, None, error) for call in waiting])
        if self._thread.is_alive():
            try:
                async with asyncio.timeout(GRACE):
                    await asyncio.shield(self._ended)
            except TimeoutError:
                pass
        with self._wake:
            begun = list(self._begun)
        self._resolve([(call, None, error) for call in begun])

    @abstractmethod
    def serve(self) -> None:
        """Take calls and run them. In the thread, when there is something to do or the idle time is over."""

    @abstractmethod
    def stop(self) -> None:
        """Let go of what the thread holds. In the thread, at its end."""

    def idle_seconds(self) -> float | None:
        """How long to wait for a call before ``serve`` is called without one."""
        return None

    def take(self, most: int) -> list[Call[Any]]:
        """Take waiting calls of about ``most`` rows together, at least one; from here on they have begun."""
        with self._wake:
            taken: list[Call[Any]] = []
            while self._queue and most > 0:
                call = self._queue.popleft()
                if call.state == NEW:
                    call.state = BEGUN
                    most -= call.weight
                    taken.append(call)
            self._begun = taken
        return taken

    def deliver(self, outcomes: list[tuple[Call[Any], Any, BaseException | None]]) -> None:
        """Hand the outcomes of begun calls to their callers. In the thread."""
        with self._wake:
            self._begun = []
        self._deliver(outcomes)

    def call_soon(self, function: Callable[..., object], *args: object) -> None:
        """Have the event loop call a function, if there still is one. Any thread."""
        try:
            self._loop.call_soon_threadsafe(function, *args)
        except RuntimeError:  # the loop is closed, and with it whoever waited
            pass

    @property
    def closing(self) -> bool:
        return self._closing

    def _enqueue(self, work: Callable[[Any], T], durable: bool, weight: int) -> Call[T]:
        if os.getpid() != self._pid:
            raise WrongLoop(
                f"{self.path}: this broker was opened before a fork; open one of its own in the child process"
            )
        if asyncio.get_running_loop() is not self._loop:
            raise WrongLoop(f"{self.path}: this broker was opened in another event loop; open one for this loop")
        call = Call(work, self._loop.create_future(), durable, weight)
        with self._wake:
            if self._closing:
                raise BrokerClosed(f"{self.path}: the broker was closed")
            self._queue.append(call)
            self._wake.notify()
        return call

    def _deliver(self, outcomes: list[tuple[Call[Any], Any, BaseException | None]]) -> None:
        if outcomes:
            self.call_soon(self._resolve, outcomes)

    def _resolve(self, outcomes: list[tuple[Call[Any], Any, BaseException | None]]) -> None:
        for call, answer, error in outcomes:
            if call.future.done():
                continue
            if error is None:
                call.future.set_result(answer)
            else:
                call.future.set_exception(translate(error, self.path))

    def _run(self) -> None:
        try:
            while True:
                with self._wake:
                    if not self._queue and not self._closing:
                        self._wake.wait(self.idle_seconds())
                    if self._closing:
                        break
                self.serve()
        finally:
            self.stop()
            self.call_soon(self._note_end)

    def _note_end(self) -> None:
        if not self._ended.done():
            self._ended.set_result(None)
