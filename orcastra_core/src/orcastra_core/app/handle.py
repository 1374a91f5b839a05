"""What a submit gives back: a way to its end."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Generator
from typing import Any, Generic, Protocol, TypeVar

import attrs

from orcastra_core.model.errors import (
    ResultError,
    ResultExpired,
    ResultTimeout,
    TaskCancelled,
    TaskFailed,
    TaskTimeout,
    TaskUnknown,
)
from orcastra_core.model.ids import TaskId
from orcastra_core.model.result import Absence, ErrorInfo, Outcome, Result
from orcastra_core.model.task_state import Cancelled
from orcastra_core.runtime.verdict import TIMEOUT_TYPE

R = TypeVar("R")
R_co = TypeVar("R_co", covariant=True)


class Results(Protocol):
    """Where a handle asks: the app."""

    async def await_result(self, task_id: TaskId) -> Result | Absence:
        """Wait for a task's result."""
        ...

    async def cancel_task(self, task_id: TaskId) -> Cancelled:
        """Cancel a task."""
        ...


@attrs.frozen
class TaskResult(Generic[R_co]):
    """How a task ended.

    Attributes:
        id: The task.
        error: None for success; else TaskFailed, TaskTimeout or TaskCancelled.
    """

    id: TaskId
    _value: R_co | None = attrs.field(default=None, repr=False)
    error: ResultError | None = None

    @property
    def success(self) -> bool:
        """Whether the task returned a value."""
        return self.error is None

    @property
    def value(self) -> R_co:
        """The value the task returned; raises ``error`` if there is none."""
        if self.error is not None:
            raise self.error
        return self._value  # type: ignore[return-value]  # None only where R is None


class Handle(Generic[R]):
    """A submitted task, wherever it runs.

    ``await handle`` gives the task's value or raises what became of it:
    TaskFailed, TaskTimeout, TaskCancelled, ResultExpired, TaskUnknown.
    """

    __slots__ = ("_app", "_read", "duplicate", "id")

    def __init__(self, task_id: TaskId, app: Results, read: Callable[[Result], R], *, duplicate: bool = False) -> None:
        self.id: TaskId = task_id
        self.duplicate: bool = duplicate
        """Whether another task held the dedup key: this handle is that task's."""
        self._app = app
        self._read = read

    async def wait(self, timeout: float | None = None) -> TaskResult[R]:
        """Wait for the task to end, however it ends.

        Args:
            timeout: Seconds; None waits for ever.

        Raises:
            ResultTimeout: It has not ended yet. Waiting again is fine.
            ResultExpired: It ended, but its result is gone.
            TaskUnknown: The store knows no such task.
        """
        limit = asyncio.timeout(timeout)
        try:
            async with limit:
                result = await self._app.await_result(self.id)
        except TimeoutError:
            if not limit.expired():
                raise
            raise ResultTimeout(f"task {self.id} had not ended after {timeout:g} s") from None
        if result is Absence.EXPIRED:
            raise ResultExpired(f"task {self.id} has ended, but its result is gone: its TTL is over")
        if not isinstance(result, Result):
            raise TaskUnknown(f"no task {self.id} is known here")
        if result.outcome is Outcome.COMPLETED:
            return TaskResult(self.id, self._read(result))
        return TaskResult(self.id, None, _failure(self.id, result))

    async def cancel(self) -> Cancelled:
        """Cancel the task: REMOVED if it had not begun, SIGNALLED if it runs, TOO_LATE, or UNKNOWN."""
        return await self._app.cancel_task(self.id)

    def __await__(self) -> Generator[Any, None, R]:
        return self._value().__await__()

    def __repr__(self) -> str:
        return f"<Handle {self.id}>"

    async def _value(self) -> R:
        return (await self.wait()).value


def _failure(task_id: TaskId, result: Result) -> ResultError:
    error = result.error or ErrorInfo("Unknown")
    if result.outcome is Outcome.CANCELLED:
        return TaskCancelled(f"task {task_id} was {error.message or 'cancelled'}")
    return TaskTimeout(error) if error.type == TIMEOUT_TYPE else TaskFailed(error)
