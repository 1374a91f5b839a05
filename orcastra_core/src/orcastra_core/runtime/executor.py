"""Runs deliveries: asynchronous functions in the loop, synchronous ones in threads."""

from __future__ import annotations

import asyncio
import contextvars
import enum
import logging
import sys
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

from orcastra_core.interfaces.clock import Clock
from orcastra_core.interfaces.middleware import Middleware
from orcastra_core.interfaces.serializer import Serializer
from orcastra_core.model.delivery import Delivery, Receipt
from orcastra_core.model.envelope import Envelope, Unreadable
from orcastra_core.model.errors import CodecError, InvalidArguments, SerializationError, Snooze, Steer
from orcastra_core.model.ids import TaskId
from orcastra_core.model.names import QueueName, TaskName
from orcastra_core.model.result import ErrorInfo
from orcastra_core.runtime.context import Context, enter
from orcastra_core.runtime.deadlines import Deadlines
from orcastra_core.runtime.middleware import run_through
from orcastra_core.runtime.stats import Stats
from orcastra_core.runtime.task_spec import TaskSpec
from orcastra_core.runtime.tenure import Tenure
from orcastra_core.runtime.verdict import describe, unknown_task_delay

_log = logging.getLogger("orcastra.tasks")

_EAGER: dict[str, Any] = {"eager_start": True} if sys.version_info >= (3, 12) else {}


class Cause(enum.Enum):
    """Why we stop a running task."""

    TIMEOUT = "timed out"
    CANCEL = "cancelled"
    FENCED = "its session was reaped"
    SHUTDOWN = "the worker shuts down"


class Run:
    """One attempt in progress."""

    __slots__ = ("cause", "context", "delivery", "envelope", "spec", "task", "tenure", "timeout")

    def __init__(
        self, delivery: Delivery, envelope: Envelope, spec: TaskSpec, tenure: Tenure, timeout: float | None
    ) -> None:
        self.delivery = delivery
        self.envelope = envelope
        self.spec = spec
        self.tenure = tenure
        self.timeout = timeout
        self.context = Context(delivery, envelope)
        self.task: asyncio.Task[None] | None = None
        self.cause: Cause | None = None


class Executor:
    """Runs at most ``concurrency`` attempts at a time.

    An attempt's slot is free when its function has returned, whatever became
    of its session: a synchronous function cannot be stopped, only asked
    (``Context.cancelled``), and its outcome is judged when it returns.
    """

    def __init__(
        self,
        specs: Mapping[TaskName, TaskSpec],
        serializers: Callable[[str], Serializer],
        *,
        concurrency: int,
        threads: int,
        clock: Clock,
        max_body: int,
        max_lost: Mapping[QueueName, int],
        unknown_task_grace: float,
        clock_offset: float = 0.0,
        middleware: Sequence[Middleware] = (),
        stats: Stats,
    ) -> None:
        self.concurrency = concurrency
        self.stats = stats
        self._specs = specs
        self._serializers = serializers
        self._clock = clock
        self._max_body = max_body
        self._max_lost = max_lost
        self._grace = unknown_task_grace
        self._clock_offset = clock_offset
        self._middleware = middleware
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="orcastra-task")
        self._loop = asyncio.get_running_loop()
        self._runs: dict[Run, None] = {}
        self._by_id: dict[TaskId, Run] = {}
        self._deadlines: Deadlines[Run] = Deadlines(self._timed_out)
        self._changed: asyncio.Future[None] | None = None

    @property
    def free(self) -> int:
        """Slots without an attempt."""
        return self.concurrency - len(self._runs)

    @property
    def running(self) -> int:
        """Attempts in progress."""
        return len(self._runs)

    async def wait_for(self, condition: Callable[[], bool]) -> None:
        """Wait until ``condition`` holds; it is asked again whenever an attempt ended."""
        while not condition():
            if self._changed is None or self._changed.done():
                self._changed = self._loop.create_future()
            await asyncio.shield(self._changed)

    def start(self, delivery: Delivery, tenure: Tenure) -> None:
        """Begin an attempt, or settle the delivery at once if there is nothing to run."""
        envelope = delivery.envelope
        now = self._clock.now()
        if isinstance(envelope, Unreadable):
            info = ErrorInfo("DeserializationError", envelope.error)
            tenure.settle(tenure.judge.dead(delivery, envelope, None, f"undecodable: {envelope.error}", info, now))
            return
        spec = self._specs.get(envelope.task)
        if delivery.counts.lost and delivery.counts.lost >= self._max_lost.get(envelope.queue, 5):
            reason = f"its workers died {delivery.counts.lost} times while they ran it"
            tenure.settle(tenure.judge.dead(delivery, envelope, spec, reason, ErrorInfo("WorkerLost", reason), now))
            return
        if envelope.expires is not None and envelope.expires <= now + self._clock_offset:
            reason = "expired before it was started"
            tenure.settle(tenure.judge.dead(delivery, envelope, spec, reason, ErrorInfo("Expired", reason), now))
            return
        if spec is None:
            self._unknown(delivery, envelope, tenure, now)
            return
        try:
            args, kwargs = spec.signature.load(self._serializers(envelope.content_type), envelope.body)
        except (CodecError, InvalidArguments) as error:
            info = describe(error)
            tenure.settle(tenure.judge.dead(delivery, envelope, spec, f"undecodable: {error}", info, now))
            return
        timeout = spec.timeout if envelope.timeout is None else (envelope.timeout or None)
        run = Run(delivery, envelope, spec, tenure, timeout)
        self._runs[run] = None
        self._by_id[envelope.id] = run
        if timeout is not None:
            self._deadlines.add(run, timeout)
        if tenure.full_events:
            tenure.started(envelope.id, now, delivery.counts.attempt)
        # the executor's dict of runs keeps the task alive; it is awaited by `stop`
        run.task = asyncio.Task(self._attempt(run, args, kwargs), loop=self._loop, **_EAGER)

    def cancel(self, task_id: TaskId, cause: Cause = Cause.CANCEL) -> None:
        """Stop a running task, if it runs here."""
        run = self._by_id.get(task_id)
        if run is not None:
            self._stop(run, cause)

    def cancel_all(self, cause: Cause, tenure: Tenure | None = None) -> None:
        """Stop all attempts, or all of one tenure."""
        for run in list(self._runs):
            if tenure is None or run.tenure is tenure:
                self._stop(run, cause)

    def receipts(self, tenure: Tenure) -> set[Receipt]:
        """What of one tenure runs."""
        return {run.delivery.receipt for run in self._runs if run.tenure is tenure}

    def close(self) -> None:
        """Let go of threads and timers; what still runs in a thread is left to itself."""
        self._deadlines.close()
        self._pool.shutdown(wait=False, cancel_futures=True)

    async def _attempt(self, run: Run, args: Sequence[Any], kwargs: Mapping[str, Any]) -> None:
        spec = run.spec
        enter(run.context)
        error: BaseException | None = None
        value: Any = None
        try:
            if run.cause is not None:
                raise asyncio.CancelledError  # noqa: TRY301 - stopped before its first step
            if self._middleware:
                value = await run_through(self._middleware, run.delivery, partial(self._call, run, args, kwargs))
            elif spec.is_async:
                value = await spec.function(*args, **kwargs)
            else:
                value = await self._in_thread(run, args, kwargs)
        except GeneratorExit:
            raise
        except BaseException as raised:  # noqa: BLE001 - whatever a task raises is its outcome, SystemExit too
            error = raised
        del self._runs[run]
        if self._by_id.get(run.envelope.id) is run:
            del self._by_id[run.envelope.id]
        if run.timeout is not None:
            self._deadlines.discard(run, run.timeout)
        if isinstance(error, asyncio.CancelledError) and run.cause is None:
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                # somebody else stops the whole loop: the delivery is the session's to release
                raise error
        self._judge(run, value, error)
        if self._changed is not None and not self._changed.done():
            self._changed.set_result(None)

    async def _call(self, run: Run, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        if run.spec.is_async:
            return await run.spec.function(*args, **kwargs)
        return await self._in_thread(run, args, kwargs)

    async def _in_thread(self, run: Run, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        work = self._pool.submit(partial(contextvars.copy_context().run, run.spec.function, *args, **kwargs))
        future = asyncio.wrap_future(work)
        while True:
            try:
                return await asyncio.shield(future)
            except asyncio.CancelledError:
                if future.done():
                    return future.result()
                if run.cause in (None, Cause.SHUTDOWN) or work.cancel():
                    # the process ends, or the thread never began
                    raise
                # the thread goes on, and so does its slot: the verdict waits for it

    def _judge(self, run: Run, value: Any, error: BaseException | None) -> None:
        delivery, envelope, spec, tenure = run.delivery, run.envelope, run.spec, run.tenure
        judge, now, stats = tenure.judge, self._clock.now(), self.stats
        cause = run.cause
        if error is None and cause is not Cause.TIMEOUT:
            serializer = self._serializers(envelope.content_type)
            try:
                data = spec.signature.dump_result(serializer, value)
                if len(data) <= self._max_body:
                    stats.completed += 1
                    tenure.settle(
                        judge.completed(delivery, envelope, spec, data, serializer.content_type, run.context.emit, now)
                    )
                    return
                error = SerializationError(
                    f"task {spec.name}: its result has {len(data)} bytes; the limit is {self._max_body}"
                )
            except CodecError as refused:
                error = refused
            tenure.settle(judge.dead(delivery, envelope, spec, str(error), describe(error), now))
            stats.failed += 1
            return
        if cause is Cause.TIMEOUT and run.timeout is not None:
            _log.warning("task %s %s timed out after %g s", spec.name, envelope.id, run.timeout)
            stats.failed += 1
            tenure.settle(judge.timed_out(delivery, envelope, spec, run.timeout, now))
        elif isinstance(error, asyncio.CancelledError) and cause is Cause.CANCEL:
            stats.cancelled += 1
            tenure.settle(judge.cancelled(delivery, envelope, now))
        elif isinstance(error, asyncio.CancelledError) and cause is not None:
            stats.released += 1
            tenure.settle(judge.released(delivery, envelope, 0.0, cause.value, now))
        else:
            assert error is not None
            if isinstance(error, Snooze):
                stats.released += 1
            else:
                stats.failed += 1
                if not isinstance(error, Steer):
                    _log.warning("task %s %s failed: %s: %s", spec.name, envelope.id, type(error).__name__, error)
            tenure.settle(judge.raised(delivery, envelope, spec, error, now))

    def _unknown(self, delivery: Delivery, envelope: Envelope, tenure: Tenure, now: float) -> None:
        delay = unknown_task_delay(delivery.counts.released, self._grace)
        if delay is not None:
            _log.warning("no task is named %r here; released for %g s", envelope.task, delay)
            tenure.settle(tenure.judge.released(delivery, envelope, delay, "unknown task", now))
            return
        reason = f"no worker knew a task named {envelope.task!r} for {self._grace:g} s"
        tenure.settle(tenure.judge.dead(delivery, envelope, None, reason, ErrorInfo("UnknownTask", reason), now))

    def _timed_out(self, run: Run) -> None:
        self._stop(run, Cause.TIMEOUT)

    def _stop(self, run: Run, cause: Cause) -> None:
        if run.cause is None:
            run.cause = cause
        run.context.cancelled = True
        if run.task is not None and not run.task.done():
            run.task.cancel()
