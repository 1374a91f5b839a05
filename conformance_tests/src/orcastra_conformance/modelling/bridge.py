"""A thread for synchronous code that drives asynchronous calls, ended with its caller."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from typing import Any, TypeAlias, TypeVar

from orcastra_conformance.engine.steps import turns

T = TypeVar("T")

Step: TypeAlias = Callable[[], Coroutine[Any, Any, Any]]


class Halt(BaseException):
    """Raised in the thread to end it: no failure, and nothing that a handler of Exception may keep."""


class Bridge:
    """Runs synchronous code in a thread; what it awaits is awaited by the task that runs the bridge.

    So all that the thread sets off belongs to that task: cancelling it cancels
    the step that is going on, and no later one begins.
    """

    def __init__(self) -> None:
        self._steps: asyncio.Queue[tuple[Step, Future[Any]] | None] = asyncio.Queue()
        self._loop = asyncio.get_running_loop()
        self._lock = threading.Lock()
        self._halted = False
        self._pending: Future[Any] = Future()

    async def run(self, work: Callable[[], T]) -> T:
        """Run ``work`` in a thread and return what it returns; the thread is gone by then, whatever happened."""
        outcome: Future[T] = Future()
        debug = self._loop.get_debug()
        self._loop.set_debug(False)  # it looks up the source of every step's way to and fro: most of the time it took
        await turns(1)
        thread = threading.Thread(target=self._work, args=(work, outcome), name="conformance-model", daemon=True)
        thread.start()
        try:
            while (asked := await self._steps.get()) is not None:
                step, answer = asked
                try:
                    answer.set_result(await step())
                except Exception as error:
                    answer.set_exception(error)
        finally:
            self._halt()
            thread.join()
            self._loop.set_debug(debug)
        return outcome.result()

    def await_(self, step: Step) -> Any:
        """From the thread: have the coroutine that ``step`` makes awaited, and return what it returned. Raises Halt."""
        with self._lock:
            if self._halted:
                raise Halt
            answer = self._pending = Future()
        self._loop.call_soon_threadsafe(self._steps.put_nowait, (step, answer))
        return answer.result()

    def _halt(self) -> None:
        """Have the step that goes on, and every later one, raise Halt in the thread."""
        with self._lock:
            self._halted = True
            if not self._pending.done():
                self._pending.set_exception(Halt())

    def _work(self, work: Callable[[], T], outcome: Future[T]) -> None:
        try:
            outcome.set_result(work())
        except BaseException as error:
            outcome.set_exception(error)
        finally:
            self._loop.call_soon_threadsafe(self._steps.put_nowait, None)
