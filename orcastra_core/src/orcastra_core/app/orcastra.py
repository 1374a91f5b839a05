"""An application: tasks, and the broker they go through."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from orcastra_core.app.connection import Connection
from orcastra_core.app.envelopes import EnvelopeMaker
from orcastra_core.app.handle import Handle
from orcastra_core.app.orca import Call
from orcastra_core.app.recurring import check_schedule, first_schedule
from orcastra_core.app.serializers import Serializers
from orcastra_core.app.submission import Submission, stored_id
from orcastra_core.app.tasks import Tasks
from orcastra_core.interfaces.broker import Broker
from orcastra_core.interfaces.clock import Clock
from orcastra_core.interfaces.middleware import Middleware
from orcastra_core.interfaces.results import ResultStore
from orcastra_core.interfaces.scheduler import Scheduler
from orcastra_core.interfaces.trigger import Trigger
from orcastra_core.liveness.system_clock import SystemClock
from orcastra_core.model.broker_url import BrokerUrl
from orcastra_core.model.envelope import Envelope
from orcastra_core.model.errors import InvalidOption, OrcastraError, Unsupported
from orcastra_core.model.ids import TaskId, parse_id
from orcastra_core.model.names import SessionId
from orcastra_core.model.profile import Cap, Profile
from orcastra_core.model.published import STORED, Published
from orcastra_core.model.queue import QueueSpec
from orcastra_core.model.result import RESULT_TTL, Absence, Result
from orcastra_core.model.schedule import Misfire, Schedule, ScheduleId
from orcastra_core.model.task_state import Cancelled
from orcastra_core.runtime.plan import make_plan
from orcastra_core.runtime.task_spec import TaskSpec
from orcastra_core.runtime.worker_options import Until, WorkerOptions

P = ParamSpec("P")
if TYPE_CHECKING:
    from orcastra_core.runtime.worker import Worker

R = TypeVar("R")


class Orcastra(Tasks):
    """Tasks, and the broker they go through.

    Use ``async with app:`` to submit and wait. It may be entered again, in another
    event loop too, once it was left; nested ``async with`` in one loop is
    fine. All methods but ``task`` need it entered.

    Args:
        url: The broker; the environment's ``ORCASTRA_URL`` if None.
        scheduler: Another broker's URL whose store keeps what is deferred, for
            brokers without DELAY or SCHEDULES.
        serializer: The entry point that writes arguments and results: ``cbor``, ``json`` or another.
        events: Whether to keep the event log; ``"full"`` logs STARTED as well.
        results: Another broker's URL whose store keeps the results, for submits and workers alike. False: what is submitted
            here cannot be waited for, nothing is pushed, and results are kept only where ``result_ttl`` says so.
        middleware: Around every submit and run, the outermost first.
        queues: Specs of queues that need other than the defaults.
        clock: Where time comes from.
    """

    def __init__(
        self,
        url: str | None = None,
        *,
        scheduler: str | None = None,
        serializer: str = "cbor",
        events: bool | str = True,
        results: str | bool = True,
        middleware: Sequence[Middleware] = (),
        queues: Sequence[QueueSpec] = (),
        clock: Clock | None = None,
    ) -> None:
        super().__init__(queues, result_ttl=RESULT_TTL if results else 0.0)
        given = url if url is not None else os.environ.get("ORCASTRA_URL")
        if not given:
            raise InvalidOption("name a broker: Orcastra('sqlite:///orcastra.db'), or set ORCASTRA_URL")
        if events not in (True, False, "full"):
            raise InvalidOption(f"events={events!r}: expected True, False or 'full'")
        self.url: BrokerUrl = BrokerUrl.parse(given)
        self._clock: Clock = clock or SystemClock()
        self._events = events
        self._middleware = tuple(middleware)
        self._serializers = Serializers(serializer)
        self._maker = EnvelopeMaker(self._clock)
        self._connection = Connection(
            self.url,
            BrokerUrl.parse(scheduler) if scheduler is not None else None,
            clock=self._clock,
            events=bool(events),
            results=BrokerUrl.parse(results) if isinstance(results, str) else results,
            middleware=self._middleware,
        )

    def use(self, url: str) -> None:
        """Go through another broker, as ``--url`` does. Raises InvalidOption, and WrongLoop while the app is open."""
        parsed = BrokerUrl.parse(url)
        self._connection.use(parsed)
        self.url = parsed

    async def __aenter__(self) -> Orcastra:
        self._serializers.load()
        opened = await self._connection.enter(self._queue_specs())
        offset, channel, elsewhere = opened.profile.clock_offset, opened.client.channel, opened.elsewhere is not None
        self._maker.attach(offset, opened.due_offset, channel, elsewhere=elsewhere)
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self._connection.leave()

    @property
    def broker(self) -> Broker:
        """The opened broker. Raises WrongLoop outside ``async with``."""
        return self._connection.opened.broker

    @property
    def results(self) -> ResultStore | None:
        """Where results are kept; None if they are not. Raises WrongLoop outside ``async with``."""
        return self._connection.opened.results

    @property
    def profile(self) -> Profile:
        """What the opened broker offers. Raises WrongLoop outside ``async with``."""
        return self._connection.opened.profile

    async def submit_many(self, calls: Iterable[Call[R]], *, transaction: object | None = None) -> list[Submission[R]]:
        """Submit many calls in few round trips; an outcome each, in order.

        A call that is refused harms no other. While one batch is on its way the
        next is drawn from ``calls``, which may be a generator.

        Args:
            calls: Made by ``Orca.call``.
            transaction: Submit in this transaction of yours, as ``Orca.submit_within`` does.

        Raises:
            Unsupported: The broker does not offer Cap.TX_PUBLISH, and a transaction was given.
            WrongLoop: The app runs in another event loop, or not at all.
        """
        client = self._connection.opened.client
        make, serializer = self._maker.make, self._serializers.default
        drawn: list[tuple[TaskSpec, TaskId | None]] = []

        def envelopes() -> Iterator[Envelope | OrcastraError]:
            for call in calls:
                try:
                    envelope = make(call.spec, call.options, serializer, call.args, call.kwargs)
                except OrcastraError as error:
                    drawn.append((call.spec, None))
                    yield error
                else:
                    drawn.append((call.spec, envelope.id))
                    yield envelope

        if transaction is None:
            answers = await client.submit_many(envelopes())
        else:
            answers = await client.submit_within(transaction, envelopes())
        return [self._submission(spec, task_id, answer) for (spec, task_id), answer in zip(drawn, answers, strict=True)]

    async def submit_call(self, call: Call[R], /) -> Handle[R]:
        """Submit one call; what ``Orca.submit`` does."""
        client = self._connection.opened.client
        envelope = self._envelope(call)
        published = await client.submit(envelope)
        return self._submission(call.spec, envelope.id, published).handle

    async def submit_call_within(self, transaction: object, call: Call[R], /) -> Handle[R]:
        """Submit one call in a transaction of the caller's; what ``Orca.submit_within`` does."""
        client = self._connection.opened.client
        envelope = self._envelope(call)
        (answer,) = await client.submit_within(transaction, [envelope])
        return self._submission(call.spec, envelope.id, answer).handle

    def handle(self, task_id: str) -> Handle[Any]:
        """Return a handle on a task by its id, submitted here or elsewhere. Raises InvalidName."""
        return Handle(parse_id(task_id), self, self._serializers.read)

    async def schedule(
        self,
        schedule_id: str,
        call: Call[Any],
        trigger: Trigger | str,
        *,
        misfire: Misfire = Misfire.ONE,
        grace: float = 60.0,
    ) -> Schedule:
        """Submit a call again and again, whenever a trigger says.

        Adding what is stored already changes nothing, so a program may do this at every start.

        Args:
            schedule_id: Its name; another call under the same name replaces it.
            call: What to submit.
            trigger: A Trigger, or its text: ``"cron:0 4 * * * Europe/Berlin"``.
            misfire: What to do with ticks that nobody fired in time.
            grace: Seconds by which a tick may be late without being missed.
        """
        scheduler = self._scheduler()
        check_schedule(schedule_id, call.options, misfire)
        schedule = first_schedule(schedule_id, self._envelope(call), trigger, misfire, grace, self._clock.now())
        await scheduler.add([schedule])
        stored = await scheduler.get([schedule.id])
        return stored[0] or schedule

    async def unschedule(self, schedule_id: str) -> bool:
        """Forget a schedule; False if there was none."""
        (removed,) = await self._scheduler().remove([ScheduleId(schedule_id)])
        return removed

    def worker(
        self,
        *,
        queues: Sequence[str] | None = None,
        concurrency: int = 200,
        threads: int = 32,
        lease: float | None = None,
        until: Until = Until.STOPPED,
        grace: float = 30.0,
        unknown_task_grace: float = 300.0,
        on_session: Callable[[SessionId, float], None] | None = None,
    ) -> Worker:
        """Return a worker for this app's tasks; ``await worker.run()`` works.

        Args:
            queues: What it fetches from; all that the tasks name if None.
            concurrency: Attempts at a time.
            threads: Threads for synchronous functions.
            lease: Seconds of silence after which its session counts as lapsed; the URL's if None.
            until: When it ends by itself.
            grace: Seconds that running tasks get after ``stop``.
            unknown_task_grace: Seconds an unknown task is released before it is dead-lettered.
            on_session: Told id and lease of each session the worker opens.
        """
        # what only workers need is not imported by those who only submit
        from orcastra_core.plugins import parse_trigger
        from orcastra_core.runtime.worker import Worker

        options = WorkerOptions(
            queues=queues or self.queues(),
            concurrency=concurrency,
            threads=threads,
            lease=self.url.lease if lease is None else lease,
            until=until,
            grace=grace,
            unknown_task_grace=unknown_task_grace,
            events=bool(self._events),
            full_events=self._events == "full",
        )
        opened = self._connection.opened
        if opened.scheduler is None and not opened.profile.offers(Cap.DELAY):
            raise Unsupported(
                Cap.DELAY,
                f"{opened.profile.server} keeps no delay, and a retry needs one: name a store for it, "
                f"for example Orcastra({str(self.url)!r}, scheduler='sqlite:///delayed.db')",
            )
        return Worker(
            opened.broker,
            opened.profile,
            self._registry.specs,
            self._serializers.by_content_type,
            options,
            scheduler=opened.scheduler,
            scheduler_offset=opened.scheduler_offset,
            results=opened.elsewhere,
            plan=make_plan(parse_trigger),
            clock=self._clock,
            queue_specs=tuple(self._queues.values()),
            middleware=self._middleware,
            on_session=on_session,
        )

    async def await_result(self, task_id: TaskId) -> Result | Absence:
        """Wait for a task's result; what handles use."""
        return await self._connection.opened.client.wait(task_id)

    async def cancel_task(self, task_id: TaskId) -> Cancelled:
        """Cancel a task; what handles use."""
        return (await self._connection.opened.client.cancel([task_id]))[0]

    def _scheduler(self) -> Scheduler:
        scheduler = self._connection.opened.scheduler
        if scheduler is None:
            raise Unsupported(Cap.SCHEDULES)
        return scheduler

    def _envelope(self, call: Call[Any]) -> Envelope:
        return self._maker.make(call.spec, call.options, self._serializers.default, call.args, call.kwargs)

    def _submission(self, spec: TaskSpec, task_id: TaskId | None, answer: Published | OrcastraError) -> Submission[Any]:
        if answer is STORED and task_id is not None:  # the usual one
            return Submission(Handle(task_id, self, self._serializers.reader(spec)))
        stored = stored_id(spec, task_id, answer)
        if isinstance(stored, OrcastraError):
            return Submission(None, stored)
        return Submission(Handle(stored, self, self._serializers.reader(spec), duplicate=stored != task_id))
