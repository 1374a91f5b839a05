"""Runs deliveries: asynchronous functions in the loop, synchronous ones in threads."""

from __future__ import annotations

import asyncio
import logging
import random
import sys
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, Any

from orcastra_core.interfaces.clock import Clock
from orcastra_core.interfaces.middleware import Middleware
from orcastra_core.interfaces.serializer import Serializer
from orcastra_core.interfaces.transaction import SettlingTransaction
from orcastra_core.model.delivery import Delivery, Receipt
from orcastra_core.model.envelope import Envelope, Unreadable
from orcastra_core.model.errors import BrokerError
from orcastra_core.model.ids import TaskId
from orcastra_core.model.names import QueueName, TaskName
from orcastra_core.model.result import ErrorInfo
from orcastra_core.model.settlement import Settlement
from orcastra_core.runtime.concluding import conclude
from orcastra_core.runtime.context import enter
from orcastra_core.runtime.deadlines import Deadlines
from orcastra_core.runtime.describe import describe
from orcastra_core.runtime.middleware import run_through
from orcastra_core.runtime.outcome import raised, returned, unsettled
from orcastra_core.runtime.patience import Patience
from orcastra_core.runtime.run import Cause, Run
from orcastra_core.runtime.stats import Stats
from orcastra_core.runtime.task_spec import TaskSpec
from orcastra_core.runtime.tenure import Tenure
from orcastra_core.runtime.threads import run_in_thread
from orcastra_core.runtime.verdict import unknown_task_delay

if TYPE_CHECKING:
    from orcastra_core.runtime.isolation import Isolation

_log = logging.getLogger("orcastra.tasks")

_LOST_COMMIT = 1.0  # seconds until a task runs again whose transaction was lost with its connection

_EAGER: dict[str, Any] = {"eager_start": True} if sys.version_info >= (3, 12) else {}


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
        rng: random.Random,
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
        self._isolation: Isolation | None = None
        self._loop = asyncio.get_running_loop()
        self._runs: dict[Run, None] = {}
        self._by_id: dict[TaskId, Run] = {}
        self._committing = Patience("settling in transactions", clock, rng)
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
            serializer = self._serializers(envelope.content_type)
            # a process of its own reads its arguments itself
            args, kwargs = ((), {}) if spec.own_process else spec.signature.load(serializer, envelope.body)
        except Exception as error:  # noqa: BLE001 - rebuilding arguments runs the user's converters
            info = describe(error)
            tenure.settle(tenure.judge.dead(delivery, envelope, spec, f"undecodable: {info.message}", info, now))
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
            elif spec.is_async and not spec.own_process:
                value = await spec.function(*args, **kwargs)
            else:
                value = await self._call(run, args, kwargs)
        except BaseException as failure:  # noqa: BLE001 - whatever a task raises is its outcome, SystemExit too
            if self._loop.is_closed():
                raise
            error = failure
        if run.timeout is not None:
            self._deadlines.discard(run, run.timeout)
        settlement: Settlement | None
        if run.context.settling is None:
            settlement = self._judge(run, error, value, self.stats)
        else:
            settlement = await self._conclude(run, run.context.settling, error, value)
        del self._runs[run]
        if self._by_id.get(run.envelope.id) is run:
            del self._by_id[run.envelope.id]
        if settlement is not None:
            run.tenure.settle(settlement)
        if self._changed is not None and not self._changed.done():
            self._changed.set_result(None)

    def _judge(self, run: Run, error: BaseException | None, value: Any, stats: Stats) -> Settlement:
        # Cancelled by none of us: by itself, or with the whole loop, and then nothing of this reaches the store any more.
        now = self._clock.now()
        try:
            if error is None and run.cause is not Cause.TIMEOUT:
                serializer = self._serializers(run.envelope.content_type)
                return returned(run, value, serializer, self._max_body, now, stats)
            return raised(run, error, now, stats)
        except Exception as broken:  # noqa: BLE001 - a policy's backoff or a value's own method: the user's code too
            return unsettled(run, broken, now, stats)

    async def _conclude(
        self, run: Run, transaction: SettlingTransaction, error: BaseException | None, value: Any
    ) -> Settlement | None:
        run.concluding = True  # nothing stops it any more
        counted = Stats()
        settlement: Settlement | None = self._judge(run, error, value, counted)
        assert settlement is not None
        try:
            settlement = await conclude(transaction, settlement, run.tenure, self._committing)
        except BrokerError as failure:
            # it ran, but nothing of it is there
            if not failure.retryable:
                return self._judge(run, failure, None, self.stats)
            self.stats.released += 1
            return run.tenure.judge.released(run.delivery, run.envelope, _LOST_COMMIT, str(failure), self._clock.now())
        self.stats.add(counted)
        return settlement

    async def _call(self, run: Run, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        spec, envelope = run.spec, run.envelope
        if spec.own_process:
            if self._isolation is None:
                # multiprocessing is not needed by most workers
                from orcastra_core.runtime.isolation import Isolation

                self._isolation = Isolation()
            return await self._isolation.run(spec, envelope, self._serializers(envelope.content_type))
        if spec.is_async:
            return await spec.function(*args, **kwargs)
        return await run_in_thread(self._pool, run, args, kwargs)

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
        if run.task is not None and not run.task.done() and not run.concluding:
            run.task.cancel()
