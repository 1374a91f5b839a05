"""Letting an event loop go on by single steps, and cancelling calls between them."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Generator
from typing import Any, Generic, TypeVar

import attrs

T = TypeVar("T")


class _Turn:
    def __await__(self) -> Generator[None, None, None]:
        yield


async def turns(number: int) -> None:
    """Let everything that is ready run, ``number`` times over."""
    for _ in range(number):
        await _Turn()


@attrs.frozen
class Cut(Generic[T]):
    """What became of a call that was cancelled.

    Attributes:
        finished: Whether it was over before the cancellation reached it.
        value: What it returned in that case.
    """

    finished: bool
    value: T | None = None


async def cancelled_after(steps: int, call: Coroutine[Any, Any, T]) -> Cut[T]:
    """Start a call, let the loop go on by ``steps`` steps, cancel it and wait until it has ended."""
    async with asyncio.TaskGroup() as group:
        running = group.create_task(call)
        await turns(steps)
        if running.done():
            return Cut(True, running.result())
        running.cancel()
        try:
            return Cut(True, await running)  # it had its answer in hand
        except asyncio.CancelledError:
            return Cut(False)


def growing_steps(most: int) -> list[int]:
    """Return 0, 1, 2 … and from 16 on ever farther apart, up to ``most``.

    Every step of a call within one loop; samples of one that works in a thread.
    """
    steps, step = list(range(16)), 16.0
    while step <= most:
        steps.append(int(step))
        step *= 1.5
    return steps
