"""The type of ``@app.task(…)``."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any, ParamSpec, Protocol, TypeVar, overload

from orcastra_core.app.orca import AsyncOrca, SyncOrca

P = ParamSpec("P")
R = TypeVar("R")


class Decorator(Protocol):
    """What ``@app.task(…)`` is."""

    @overload
    def __call__(  # type: ignore[overload-overlap]
        self, function: Callable[P, Coroutine[Any, Any, R]], /
    ) -> AsyncOrca[P, R]: ...
    @overload
    def __call__(self, function: Callable[P, R], /) -> SyncOrca[P, R]: ...
