"""An application on a trial's brokers: the real client and the real workers."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeVar

from orcastra_conformance.engine.expect import Violation
from orcastra_conformance.engine.trial import Trial
from orcastra_core.app.envelopes import EnvelopeMaker
from orcastra_core.app.handle import Handle
from orcastra_core.app.orca import Call
from orcastra_core.app.serializers import Serializers
from orcastra_core.app.submission import stored_id
from orcastra_core.app.tasks import Tasks
from orcastra_core.interfaces.broker import Broker
from orcastra_core.model.dead_letter import DeadLetter
from orcastra_core.model.errors import OrcastraError, TaskFailed
from orcastra_core.model.ids import TaskId
from orcastra_core.model.names import SessionId
from orcastra_core.model.profile import Cap
from orcastra_core.model.queue import QueueSpec
from orcastra_core.model.result import Absence, Result
from orcastra_core.model.task_state import Cancelled
from orcastra_core.plugins import parse_trigger
from orcastra_core.runtime.client import Client
from orcastra_core.runtime.context import Context, current_context
from orcastra_core.runtime.plan import make_plan
from orcastra_core.runtime.worker import Worker
from orcastra_core.runtime.worker_options import WorkerOptions

if TYPE_CHECKING:
    from typing import Self

R = TypeVar("R")
T = TypeVar("T")

NO_ARGUMENTS = b"\x82\x80\xa0"
"""The body of a task without arguments."""


class _Notes(logging.Handler):
    """Writes what the runtime logs into a trial's history."""

    def __init__(self, trial: Trial) -> None:
        super().__init__(logging.WARNING)
        self._trial = trial

    def emit(self, record: logging.LogRecord) -> None:
        self._trial.note(f"{record.name}: {record.getMessage()}")


class App(Tasks):
    """Tasks, a client that submits them and workers that run them, each on a broker of the trial's domain.

    As ``Orcastra`` is, but for where the brokers come from and what the clock
    is: the harness says. Enter it once; what the runtime logs goes into
    the trial's history.

    Args:
        trial: Whose brokers.
        queues: Specs of queues that need other than the defaults.
        serializer: The entry point that writes arguments and results.
    """

    broker: Broker

    def __init__(self, trial: Trial, *, queues: Sequence[QueueSpec] = (), serializer: str = "cbor") -> None:
        super().__init__(queues)
        self._trial = trial
        self._clock = trial.harness.clock
        self._rng = random.Random(trial.rng.random())
        self._serializers = Serializers(serializer)
        self._maker = EnvelopeMaker(self._clock)
        self._notes = _Notes(trial)

    async def __aenter__(self) -> Self:
        trial = self._trial
        logging.getLogger("orcastra").addHandler(self._notes)
        self._serializers.load()
        self.broker = broker = await trial.broker()
        await broker.declare(self._queue_specs())
        self._client = Client(
            broker,
            trial.profile,
            scheduler=broker.scheduler,
            results=broker.results,
            clock=self._clock,
            rng=self._rng,
        )
        await self._client.start()
        offset = trial.profile.clock_offset
        self._maker.attach(offset, offset, self._client.channel)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        logging.getLogger("orcastra").removeHandler(self._notes)
        await self._client.stop()

    async def submit_call(self, call: Call[R], /) -> Handle[R]:
        """Submit one call; what ``Orca.submit`` does."""
        envelope = self._maker.make(call.spec, call.options, self._serializers.default, call.args, call.kwargs)
        stored = stored_id(call.spec, envelope.id, await self._client.submit(envelope))
        if isinstance(stored, OrcastraError):
            raise stored
        return Handle(stored, self, self._serializers.reader(call.spec), duplicate=stored != envelope.id)

    async def await_result(self, task_id: TaskId) -> Result | Absence:
        """Wait for a task's result."""
        return await self._client.wait(task_id)

    async def cancel_task(self, task_id: TaskId) -> Cancelled:
        """Cancel a task."""
        (answer,) = await self._client.cancel([task_id])
        return answer

    @asynccontextmanager
    async def at_work(
        self,
        *,
        concurrency: int = 50,
        unknown_task_grace: float = 300.0,
        on_session: Callable[[SessionId, float], None] | None = None,
    ) -> AsyncIterator[Worker]:
        """Run a worker on a broker of its own; at the end it stops, and has settled all it ran."""
        trial = self._trial
        options = WorkerOptions(
            queues=self.queues(),
            concurrency=concurrency,
            lease=trial.lease,
            grace=1.0,
            unknown_task_grace=unknown_task_grace,
        )
        broker = await trial.broker()
        worker = Worker(
            broker,
            trial.profile,
            self.tasks,
            self._serializers.by_content_type,
            options,
            scheduler=broker.scheduler,
            scheduler_offset=trial.profile.clock_offset,
            plan=make_plan(parse_trigger),
            clock=self._clock,
            queue_specs=self._queue_specs(),
            on_session=on_session,
            rng=self._rng,
        )
        async with asyncio.TaskGroup() as group:
            group.create_task(worker.run())
            try:
                yield worker
            finally:
                worker.stop()
        trial.note(f"a worker did {worker.stats}")

    async def failure(self, handle: Handle[Any], because: str) -> TaskFailed | None:
        """Demand that a task has failed, and return how; None where the broker keeps no results."""
        if not self._trial.claims(Cap.RESULTS):
            return None
        result = await in_time(self._trial, handle.wait(), because)
        return self._trial.expect.is_a(result.error, TaskFailed, because)

    async def letter(self, task_id: str) -> DeadLetter | None:
        """Return a dead letter, which must be there; None where the broker keeps none."""
        if self.broker.dead_letters is None:
            return None
        (letter,) = await self.broker.dead_letters.get([TaskId(task_id)])
        return self._trial.expect.found(letter, "what failed for good is a dead letter")


async def in_time(t: Trial, call: Awaitable[T], because: str) -> T:
    """Wait for what takes the runtime a few round trips, and demand that it comes."""
    seconds = 4 * t.harness.soon
    ends = asyncio.timeout(seconds)
    try:
        async with ends:
            return await call
    except TimeoutError:
        if not ends.expired():
            raise
        raise Violation(f"{because}; it did not within {seconds:g} s") from None


def running_context(t: Trial) -> Context:
    """Return the context of the task that is running."""
    return t.expect.found(current_context(), "a running task has a context")
