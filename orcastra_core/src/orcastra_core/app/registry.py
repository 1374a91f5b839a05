"""The tasks of an app."""

from __future__ import annotations

import difflib
import inspect
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from orcastra_core.app.options import whole_priority
from orcastra_core.model.errors import InvalidName, InvalidOption
from orcastra_core.model.names import QueueName, TaskName, queue_name, task_name
from orcastra_core.model.retry import RetryPolicy
from orcastra_core.runtime.task_spec import TaskSpec, check_seconds
from orcastra_core.serialization.arguments import Signature


def _module_of(function: Callable[..., Any]) -> str:
    """Return the name by which a worker will import the function's module, also for the script that runs."""
    if function.__module__ != "__main__":
        return function.__module__
    main = sys.modules["__main__"]
    if main.__spec__ is not None:
        return main.__spec__.name.removesuffix(".__main__")
    path = getattr(main, "__file__", None)
    return Path(path).stem if path else "__main__"


class Registry:
    """Task names to their specs."""

    def __init__(self) -> None:
        self._specs: dict[TaskName, TaskSpec] = {}

    @property
    def specs(self) -> Mapping[TaskName, TaskSpec]:
        """All specs by name; a live view."""
        return self._specs

    def get(self, name: str) -> TaskSpec:
        """Return a task's spec; raises InvalidName with the nearest name there is."""
        try:
            return self._specs[TaskName(name)]
        except KeyError:
            near = difflib.get_close_matches(name, self._specs, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"there are {len(self._specs)} tasks"
            raise InvalidName(f"no task is named {name!r}; {hint}") from None

    def queues(self) -> list[QueueName]:
        """The queues that tasks name, in order of their appearance."""
        return list(dict.fromkeys(spec.queue for spec in self._specs.values()))

    def add(
        self,
        function: Callable[..., Any],
        *,
        name: str | None,
        queue: str,
        retry: RetryPolicy,
        timeout: float | None,
        priority: int,
        result_ttl: float,
        isolation: str | None,
    ) -> TaskSpec:
        """Register a function.

        Raises:
            InvalidOption, InvalidName: It cannot be a task so, or the name is taken.
        """
        if not callable(function):
            raise InvalidOption(
                f"@app.task decorates functions, not {type(function).__name__}; with options write @app.task(queue=…)"
            )
        if not isinstance(retry, RetryPolicy):
            raise InvalidOption(f"retry={retry!r}: expected a RetryPolicy, for example RetryPolicy(max_attempts=3)")
        if isolation not in (None, "process"):
            raise InvalidOption(f"isolation={isolation!r}: expected 'process', or None for the worker's own")
        full = task_name(name if name is not None else f"{_module_of(function)}.{function.__qualname__}")
        if full in self._specs and self._specs[full].function is not function:
            raise InvalidOption(f"a task named {full!r} is already registered: give this one a name of its own")
        spec = TaskSpec(
            name=full,
            queue=queue_name(queue),
            function=function,
            is_async=inspect.iscoroutinefunction(function),
            signature=Signature.of(function, full),
            retry=retry,
            timeout=None if timeout is None else check_seconds("timeout", timeout, least=0.001),
            priority=whole_priority(priority),
            result_ttl=check_seconds("result_ttl", result_ttl),
            own_process=isolation == "process",
        )
        self._specs[full] = spec
        return spec
