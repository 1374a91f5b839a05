"""The tasks of an app."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any, Literal, ParamSpec, TypeVar, overload

from orcastra_core.app.decorator import Decorator
from orcastra_core.app.handle import Handle
from orcastra_core.app.options import PLAIN
from orcastra_core.app.orca import AsyncOrca, Call, Orca, SyncOrca
from orcastra_core.app.registry import Registry
from orcastra_core.model.errors import Unsupported
from orcastra_core.model.names import QueueName, TaskName
from orcastra_core.model.profile import Cap
from orcastra_core.model.queue import QueueSpec
from orcastra_core.model.result import RESULT_TTL
from orcastra_core.model.retry import NO_RETRY, RetryPolicy
from orcastra_core.runtime.task_spec import TaskSpec

P = ParamSpec("P")
R = TypeVar("R")

DEFAULT_QUEUE = QueueName("default")


class Tasks(ABC):
    """The registering half of an app.

    Args:
        queues: Specs of queues that need other than the defaults.
        result_ttl: Seconds that results are kept unless a task says otherwise.
    """

    def __init__(self, queues: Sequence[QueueSpec], *, result_ttl: float = RESULT_TTL) -> None:
        self._result_ttl = result_ttl
        self._registry = Registry()
        self._queues = {spec.name: spec for spec in queues}

    @abstractmethod
    async def submit_call(self, call: Call[R], /) -> Handle[R]:
        """Submit one call; what ``Orca.submit`` does."""

    async def submit_call_within(self, transaction: object, call: Call[R], /) -> Handle[R]:
        """Submit one call in a transaction of the caller's; what ``Orca.submit_within`` does."""
        raise Unsupported(Cap.TX_PUBLISH)

    @overload
    def task(  # type: ignore[overload-overlap]  # a coroutine function is a function too: the first that fits wins
        self, function: Callable[P, Coroutine[Any, Any, R]], /
    ) -> AsyncOrca[P, R]: ...
    @overload
    def task(self, function: Callable[P, R], /) -> SyncOrca[P, R]: ...
    @overload
    def task(
        self,
        function: None = None,
        /,
        *,
        name: str | None = None,
        queue: str = DEFAULT_QUEUE,
        retry: RetryPolicy = NO_RETRY,
        timeout: float | None = None,
        priority: int = 0,
        result_ttl: float | None = None,
        isolation: Literal["process"] | None = None,
    ) -> Decorator: ...
    def task(
        self,
        function: Callable[..., Any] | None = None,
        /,
        *,
        name: str | None = None,
        queue: str = DEFAULT_QUEUE,
        retry: RetryPolicy = NO_RETRY,
        timeout: float | None = None,
        priority: int = 0,
        result_ttl: float | None = None,
        isolation: Literal["process"] | None = None,
    ) -> Any:
        """Register a function as a task; bare, or with options.

        Args:
            function: An ``async def`` or a plain function.
            name: What messages name it by; ``module.qualname`` if None.
            queue: Where it waits unless a submit says otherwise.
            retry: When a failed attempt is tried again; by default never.
            timeout: Seconds an attempt may take; None for no bound.
            priority: Larger is served first.
            result_ttl: Seconds its result is kept; 1 h if None.
            isolation: ``"process"`` gives each attempt a process of its own: a segfault, an OOM kill or a hang past
                the timeout fails that attempt and nothing else. The function must stand at its module's top level.

        Raises:
            InvalidOption, InvalidName: At once, where the decorator stands.
        """

        def register(function: Callable[..., Any]) -> Orca[..., Any]:
            spec = self._registry.add(
                function,
                name=name,
                queue=queue,
                retry=retry,
                timeout=timeout,
                priority=priority,
                result_ttl=self._result_ttl if result_ttl is None else result_ttl,
                isolation=isolation,
            )
            return self.orca(spec.name)

        return register if function is None else register(function)

    @property
    def tasks(self) -> Mapping[TaskName, TaskSpec]:
        """The registered tasks by name."""
        return self._registry.specs

    def orca(self, name: str) -> Orca[..., Any]:
        """Return a registered task by its name. Raises InvalidName."""
        spec = self._registry.get(name)
        return (AsyncOrca if spec.is_async else SyncOrca)(self, spec, PLAIN)

    def queues(self) -> list[QueueName]:
        """Return the queues that the tasks and specs name, in order of their appearance."""
        return list(dict.fromkeys([*self._registry.queues(), *self._queues])) or [DEFAULT_QUEUE]

    def _queue_specs(self) -> list[QueueSpec]:
        return [self._queues.get(name, QueueSpec(name)) for name in self.queues()]
