"""The event loop that commands run in."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from orcastra_core.runtime.shutdown import DetachedThreads

T = TypeVar("T")


def run(main: Coroutine[Any, Any, T], *, fast: bool = True) -> T:
    """Run a coroutine to its end and return its value.

    Args:
        main: What to run.
        fast: Whether to take uvloop where it is installed.
    """
    with asyncio.Runner(loop_factory=_uvloop() if fast else None) as runner:
        runner.get_loop().set_default_executor(DetachedThreads(thread_name_prefix="asyncio"))
        return runner.run(main)


def _uvloop() -> Callable[[], asyncio.AbstractEventLoop] | None:
    try:
        import uvloop
    except ImportError:
        return None
    return uvloop.new_event_loop
