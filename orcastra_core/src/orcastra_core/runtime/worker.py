"""Fetches, runs and settles, from start to graceful end."""

from __future__ import annotations

import asyncio
import logging
import os
import random
import socket
from collections.abc import Callable, Mapping, Sequence
from functools import partial

from orcastra_core.interfaces.broker import Broker
from orcastra_core.interfaces.clock import Clock
from orcastra_core.interfaces.middleware import Middleware
from orcastra_core.interfaces.results import ResultStore
from orcastra_core.interfaces.scheduler import Scheduler
from orcastra_core.interfaces.serializer import Serializer
from orcastra_core.interfaces.session import Session
from orcastra_core.model.errors import BrokerError, SessionFenced
from orcastra_core.model.event import EventKind
from orcastra_core.model.names import SessionId, TaskName
from orcastra_core.model.profile import Cap, Profile
from orcastra_core.model.queue import QueueSpec
from orcastra_core.model.schedule import Plan
from orcastra_core.model.session import CancelTask, DueSoon, Fenced
from orcastra_core.runtime.audit import audit_for_ever
from orcastra_core.runtime.deferral import DeferringSession, holds_deferred
from orcastra_core.runtime.errors import first_leaf
from orcastra_core.runtime.event_sink import EventSink
from orcastra_core.runtime.executor import Executor
from orcastra_core.runtime.fetcher import Fetcher
from orcastra_core.runtime.first_of import first_of
from orcastra_core.runtime.patience import Patience
from orcastra_core.runtime.promoter import Promoter
from orcastra_core.runtime.results_elsewhere import ParcellingSession
from orcastra_core.runtime.run import Cause
from orcastra_core.runtime.stats import Stats
from orcastra_core.runtime.sweeper import sweep_for_ever
from orcastra_core.runtime.task_spec import TaskSpec
from orcastra_core.runtime.tenure import Tenure
from orcastra_core.runtime.worker_options import Until, WorkerOptions

_log = logging.getLogger("orcastra.worker")

_STOP_SECONDS = 5.0
"""Seconds that tasks get to react to being cancelled at shutdown."""


class Worker:
    """Runs tasks of an opened broker until it is stopped, or its work is done.

    A worker that is fenced drops its work, opens a new session and goes on. A
    store that cannot be reached ends nothing: running tasks run on, and their
    outcomes wait.
    """

    def __init__(
        self,
        broker: Broker,
        profile: Profile,
        specs: Mapping[TaskName, TaskSpec],
        serializers: Callable[[str], Serializer],
        options: WorkerOptions,
        *,
        scheduler: Scheduler | None,
        scheduler_offset: float = 0.0,
        results: ResultStore | None = None,
        plan: Plan,
        clock: Clock,
        queue_specs: Sequence[QueueSpec] = (),
        middleware: Sequence[Middleware] = (),
        on_session: Callable[[SessionId, float], None] | None = None,
        rng: random.Random | None = None,
    ) -> None:
        self.options: WorkerOptions = options
        self.stats: Stats = Stats()
        self._broker = broker
        self._profile = profile
        self._specs = specs
        self._serializers = serializers
        self._scheduler = scheduler
        self._deferring = None if profile.offers(Cap.DELAY) else scheduler
        self._scheduler_offset = scheduler_offset
        self._results = results
        self._plan = plan
        self._clock = clock
        self._queue_specs = queue_specs
        self._middleware = middleware
        self._on_session = on_session
        self._rng = rng or random.Random()
        self._stop = asyncio.Event()
        self._hurry = asyncio.Event()

    def stop(self) -> None:
        """Stop fetching, let running tasks end within the grace, then end. A second call hurries."""
        (self._hurry if self._stop.is_set() else self._stop).set()

    async def run(self) -> Stats:
        """Work; return what was done.

        Raises:
            BrokerError: One that no repeat can mend; what was running is released by the session's end.
        """
        options = self.options
        executor = Executor(
            self._specs,
            self._serializers,
            concurrency=options.concurrency,
            threads=options.threads,
            clock=self._clock,
            rng=self._rng,
            max_body=self._profile.limits.max_body,
            max_lost={spec.name: spec.max_lost for spec in self._queue_specs},
            unknown_task_grace=options.unknown_task_grace,
            clock_offset=self._profile.clock_offset,
            middleware=self._middleware,
            stats=self.stats,
        )
        sink = EventSink(self._broker.events, self._clock, self._rng)
        try:
            async with asyncio.TaskGroup() as beside:
                background = [
                    beside.create_task(
                        sweep_for_ever(self._broker, self._results, self._clock, self._rng, self.stats), name="sweeper"
                    ),
                    beside.create_task(sink.run(), name="events"),
                ]
                promoters = self._promoters()
                background += [beside.create_task(promoter.run(), name="promoter") for promoter in promoters]
                reaped = True
                while reaped and (session := await self._open_session()) is not None:
                    reaped = await self._serve(session, executor, promoters, sink)
                # what a reaped session's tasks still do is discarded, but not unsaid
                await self._drain(executor)
                await sink.end()
                for task in background:
                    task.cancel()
        except* BrokerError as group:
            raise first_leaf(group) from None
        finally:
            executor.cancel_all(Cause.SHUTDOWN)
            executor.close()
        return self.stats

    def _promoters(self) -> Sequence[Promoter]:
        # a scheduler elsewhere keeps schedules; what the broker itself delays, only its own makes ready
        schedulers = dict.fromkeys(one for one in (self._broker.scheduler, self._scheduler) if one is not None)
        return [Promoter(one, self._broker, self._plan, self._clock, self._rng) for one in schedulers]

    def _settling(self, session: Session, promoters: Sequence[Promoter]) -> Session:
        if self._results is not None:
            session = ParcellingSession(session, self._results)
        if self._deferring is None:
            return session
        hint, offset = partial(_hint, promoters), self._scheduler_offset
        return DeferringSession(session, self._deferring, self._clock, clock_offset=offset, on_deferred=hint)

    async def _open_session(self) -> Session | None:
        patience = Patience("opening a session", self._clock, self._rng)
        while not self._stop.is_set():
            try:
                session = await self._broker.open_session(self.options.queues, lease=self.options.lease)
            except BrokerError as error:
                await patience.pause(error)
                continue
            if self._on_session is not None:
                self._on_session(session.id, session.lease)
            return session
        return None

    async def _serve(
        self, session: Session, executor: Executor, promoters: Sequence[Promoter], sink: EventSink
    ) -> bool:
        # True if the session was reaped: there is more to do, in a new one
        tenure = Tenure(
            self._settling(session, promoters),
            max_batch=self._profile.limits.max_batch,
            clock=self._clock,
            rng=self._rng,
            stats=self.stats,
            log_events=sink.add,
            events=self.options.events and self._profile.offers(Cap.EVENTS),
            full_events=self.options.full_events,
        )
        writer = tenure.judge.writer
        sink.add(
            writer.event(
                EventKind.WORKER_JOINED,
                self._clock.now(),
                pid=os.getpid(),
                host=socket.gethostname(),
                queues=list(self.options.queues),
            )
        )
        quick = {} if self.options.until is Until.STOPPED else {"wait": 0.05}
        fetcher = Fetcher(
            tenure,
            executor,
            self.options.queues,
            max_batch=self._profile.limits.max_batch,
            clock=self._clock,
            rng=self._rng,
            stop=self._stop,
            **quick,
        )
        try:
            async with asyncio.TaskGroup() as group:
                settling = group.create_task(tenure.settler.run(), name="settler")
                fetching = group.create_task(fetcher.run(), name="fetcher")
                beside = [
                    group.create_task(self._heed(session, executor, promoters), name="signals"),
                    group.create_task(audit_for_ever(tenure, executor, fetcher, self._clock, self._rng), name="audit"),
                ]
                await first_of(self._stop.wait(), self._work_done(fetcher, tenure, executor))
                await fetcher.stop(fetching)
                await self._drain(executor)
                tenure.settler.close()
                await settling
                for task in beside:
                    task.cancel()
        except* SessionFenced:
            _log.warning("session %s was reaped: its tasks are stopped, their outcomes discarded", session.id)
            tenure.fence()
            executor.cancel_all(Cause.FENCED, tenure)
        finally:
            # only if this was cut short: nobody would settle them, and others get their deliveries now
            executor.cancel_all(Cause.SHUTDOWN, tenure)
            sink.add(writer.event(EventKind.WORKER_LEFT, self._clock.now(), fenced=tenure.fenced))
            await session.leave()
        return tenure.fenced

    async def _heed(self, session: Session, executor: Executor, promoters: Sequence[Promoter]) -> None:
        patience = Patience("listening for signals", self._clock, self._rng)
        while True:
            try:
                signals = await session.signals(wait=30.0)
                patience.success()
            except BrokerError as error:
                await patience.pause(error)
                continue
            for signal in signals:
                match signal:
                    case CancelTask(task_id):
                        executor.cancel(task_id)
                    case DueSoon():
                        _hint(promoters)
                    case Fenced():
                        raise SessionFenced(f"session {session.id} was reaped")

    async def _work_done(self, fetcher: Fetcher, tenure: Tenure, executor: Executor) -> None:
        if self.options.until is Until.STOPPED:
            await asyncio.Event().wait()
        fetched = -1
        while True:
            # a fetch that began after the last settlement must have found nothing
            fetcher.empty.clear()
            await fetcher.empty.wait()
            await executor.wait_for(lambda: not executor.running)
            await tenure.settler.idle()
            if fetched == self.stats.fetched and await self._drained():
                return
            fetched = self.stats.fetched

    async def _drained(self) -> bool:
        if self.options.until is not Until.DRAINED or not self._profile.offers(Cap.INSPECT):
            return True
        try:
            depths = await self._broker.inspect(self.options.queues)
            if self._deferring is not None and await holds_deferred(self._deferring, self.options.queues):
                return False
        except BrokerError:
            return False
        return not any(depth.ready or depth.delayed or depth.running for depth in depths)

    async def _drain(self, executor: Executor) -> None:
        async def ended() -> None:
            await executor.wait_for(lambda: not executor.running)

        async def patience_over() -> None:
            try:
                async with asyncio.timeout(self.options.grace):
                    await self._hurry.wait()
            except TimeoutError:
                _log.warning(
                    "%d tasks still run after %g s: they are stopped and released", executor.running, self.options.grace
                )

        await first_of(ended(), patience_over())
        if executor.running:
            executor.cancel_all(Cause.SHUTDOWN)
            await first_of(ended(), self._clock.sleep(_STOP_SECONDS))


def _hint(promoters: Sequence[Promoter]) -> None:
    for promoter in promoters:
        promoter.hint()
