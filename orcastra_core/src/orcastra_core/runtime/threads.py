"""Synchronous functions in threads."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

from orcastra_core.runtime.run import Cause, Run


async def run_in_thread(pool: ThreadPoolExecutor, run: Run, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
    """Run a synchronous function; return or raise what it does.

    A thread cannot be stopped. Cancelled, this goes on to wait for it, unless the
    process is about to end or the thread never began: a slot that was freed
    while its function still runs would let two run where one was meant to.
    """
    work = pool.submit(contextvars.copy_context().run, _call, partial(run.spec.function, *args, **kwargs))
    future = asyncio.wrap_future(work)
    while True:
        try:
            return await asyncio.shield(future)
        except asyncio.CancelledError:
            if future.done():
                return future.result()
            if run.cause in (None, Cause.SHUTDOWN) or work.cancel():
                raise


def _call(function: Callable[[], Any]) -> Any:
    try:
        return function()
    except StopIteration as error:  # no future can hold one; a coroutine that raises it gets this too
        raise RuntimeError("the function raised StopIteration") from error
