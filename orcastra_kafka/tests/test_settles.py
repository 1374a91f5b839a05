"""What became of a settle is told to every repeat of it, and one that failed is tried again."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

import pytest

from orcastra_core.model.errors import BrokerClosed, BrokerError, BrokerTimeout, BrokerUnavailable
from orcastra_core.model.settlement import DONE, Settled
from orcastra_kafka.classic.settles import KEPT, Settles

Settle = Callable[[], Coroutine[Any, Any, Sequence[Settled]]]


class Outage:
    """Fails until it is over, and counts how often it was asked."""

    def __init__(self, error: BrokerError | None = None) -> None:
        self.error = error
        self.asked = 0
        self.over = asyncio.Event()
        if error is not None:
            self.over.set()

    async def settle(self) -> Sequence[Settled]:
        self.asked += 1
        await self.over.wait()
        if self.error is not None:
            raise self.error
        return [DONE]


@pytest.mark.parametrize("error", [BrokerUnavailable, BrokerTimeout, BrokerError])
async def test_one_that_failed_is_tried_again(error: type[BrokerError]) -> None:
    """Some of these are a TimeoutError or an OSError as well, as what the caller's own wait ends with."""
    settles, outage = Settles(within=5.0), Outage(error("no broker"))
    for asked in (1, 2):
        with pytest.raises(error):
            await settles.once(1, outage.settle)
        assert outage.asked == asked
    outage.error = None
    assert await settles.once(1, outage.settle) == [DONE]
    assert await settles.once(1, outage.settle) == [DONE]
    assert outage.asked == 3


async def test_one_that_failed_with_nobody_there_is_tried_again() -> None:
    settles, outage = Settles(within=0.0), Outage()
    with pytest.raises(TimeoutError):
        await settles.once(1, outage.settle)
    outage.error = BrokerUnavailable("no broker")
    outage.over.set()
    await settles.finished()
    outage.error = None
    with pytest.raises(TimeoutError):
        await settles.once(1, outage.settle)
    await settles.finished()
    assert outage.asked == 2


async def test_one_that_takes_long_goes_on() -> None:
    settles, outage = Settles(within=0.0), Outage()
    for _ in range(2):
        with pytest.raises(TimeoutError):
            await settles.once(1, outage.settle)
    outage.over.set()
    await settles.finished()
    assert outage.asked == 1
    assert await Settles(within=5.0).once(1, outage.settle) == [DONE]


async def test_answers_are_kept_for_a_while() -> None:
    settles, outage = Settles(within=5.0), Outage()
    outage.over.set()
    for number in range(1, KEPT + 2):
        assert await settles.once(number, outage.settle) == [DONE]
    assert await settles.once(1, outage.settle) is None, "nobody knows any more"
    assert await settles.once(2, outage.settle) == [DONE]
    assert outage.asked == KEPT + 1


async def test_given_up() -> None:
    settles, outage = Settles(within=5.0), Outage()

    async def refused() -> None:
        with pytest.raises(BrokerClosed):
            await settles.once(1, outage.settle)

    async with asyncio.TaskGroup() as group:
        waiting = group.create_task(refused())
        await asyncio.wait([waiting], timeout=0)
        settles.cancel()
    assert outage.asked == 1
