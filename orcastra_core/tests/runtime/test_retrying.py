"""Failed attempts: tried again as the policy says, or put among the dead letters."""

from __future__ import annotations

import random
from typing import Any

import pytest
from core_doubles import at_work, depth, events_of, kinds_of, until

from orcastra_core import (
    FixedBackoff,
    GiveUp,
    Orcastra,
    RetryLater,
    RetryPolicy,
    Snooze,
    current_context,
)
from orcastra_core.model.dead_letter import DeadLetter
from orcastra_core.model.errors import TaskFailed, TaskTimeout
from orcastra_core.model.event import EventKind

AT_ONCE = FixedBackoff(0)
SUBMITTED, RETRIED, RELEASED = EventKind.SUBMITTED, EventKind.RETRIED, EventKind.RELEASED
COMPLETED, DEAD = EventKind.COMPLETED, EventKind.DEAD


async def letters(app: Orcastra) -> list[DeadLetter]:
    assert app.broker.dead_letters is not None
    return list(await app.broker.dead_letters.page())


def attempt() -> int:
    context = current_context()
    assert context is not None
    return context.attempt


async def test_tried_again_until_it_works(url: str) -> None:
    app = Orcastra(url)

    @app.task(retry=RetryPolicy(max_attempts=5, backoff=AT_ONCE))
    async def flaky() -> int:
        if attempt() < 3:
            raise OSError("not yet")
        return attempt()

    async with app, at_work(app) as worker:
        handle = await flaky.submit()
        assert await handle == 3
        assert await kinds_of(app, handle.id) == [SUBMITTED, RETRIED, RETRIED, COMPLETED]
        attempts = [event.attempt for event in await events_of(app, RETRIED, COMPLETED)]
        assert attempts == [0, 1, 2]
        assert (worker.stats.completed, worker.stats.failed) == (1, 2)
        assert await letters(app) == []


async def test_without_a_policy_there_is_one_attempt(url: str) -> None:
    app, runs = Orcastra(url), list[int]()

    @app.task
    async def fails() -> None:
        runs.append(attempt())
        raise OSError("once")

    async with app, at_work(app):
        handle = await fails.submit()
        with pytest.raises(TaskFailed, match="OSError: once"):
            await handle
        (letter,) = await letters(app)
    assert runs == [1]
    assert letter.reason == "once", "no talk of retries where none were asked for"


async def test_exhausted_retries_end_as_a_dead_letter(url: str) -> None:
    app = Orcastra(url)

    @app.task(name="hopeless", queue="q", retry=RetryPolicy(max_attempts=3, backoff=AT_ONCE))
    async def hopeless(n: int) -> None:
        raise OSError(f"attempt {attempt()}")

    async with app, at_work(app):
        handle = await hopeless.submit(7)
        with pytest.raises(TaskFailed, match="OSError: attempt 3") as caught:
            await handle
        assert caught.value.error.retryable
        (letter,) = await letters(app)
        assert letter.id == handle.id
        assert letter.queue == "q"
        assert letter.reason == "gave up after 3 attempts: attempt 3"
        assert letter.error.type == "OSError"
        assert "raise OSError" in letter.error.traceback
        assert letter.counts.attempt == 2, "what had failed before the last attempt began"
        assert (await depth(app, "q")).dead == 1


async def test_which_exceptions_are_worth_it(url: str) -> None:
    app, runs = Orcastra(url), list[str]()

    @app.task(retry=RetryPolicy(max_attempts=3, backoff=AT_ONCE, retry_on=OSError, give_up_on=FileNotFoundError))
    async def fails(kind: str) -> None:
        runs.append(kind)
        raise {"os": OSError, "file": FileNotFoundError, "value": ValueError}[kind](kind)

    async with app, at_work(app):
        for kind in ("os", "file", "value"):
            result = await (await fails.submit(kind)).wait(timeout=5)
            assert isinstance(result.error, TaskFailed)
            assert result.error.error.retryable is (kind == "os")
        assert [letter.reason for letter in await letters(app)] == ["gave up after 3 attempts: os", "file", "value"]
    assert runs == ["os", "os", "os", "file", "value"]


async def test_a_timeout_is_retried_like_a_failure(url: str) -> None:
    import asyncio

    app = Orcastra(url)

    @app.task(timeout=0.02, retry=RetryPolicy(max_attempts=2, backoff=AT_ONCE, retry_on=TimeoutError))
    async def slow() -> str:
        if attempt() == 1:
            await asyncio.Event().wait()
        return "second"

    @app.task(
        timeout=0.02, retry=RetryPolicy(max_attempts=2, backoff=AT_ONCE, retry_on=OSError, give_up_on=TimeoutError)
    )
    async def not_that() -> None:
        await asyncio.Event().wait()

    async with app, at_work(app):
        assert await (await slow.submit()) == "second"
        with pytest.raises(TaskTimeout):
            await (await not_that.submit())


async def test_a_delay_between_attempts_is_kept(url: str) -> None:
    import asyncio

    app, moments = Orcastra(url), list[float]()

    @app.task(retry=RetryPolicy(max_attempts=2, backoff=FixedBackoff(0.1)))
    async def fails() -> None:
        moments.append(asyncio.get_running_loop().time())
        raise OSError

    async with app, at_work(app):
        handle = await fails.submit()
        await until(lambda: len(moments) == 1, "the first attempt")
        await handle.wait(timeout=5)
    assert 0.09 <= moments[1] - moments[0] < 0.6


async def test_max_elapsed_counts_from_the_submit(url: str) -> None:
    app, runs = Orcastra(url), list[int]()

    @app.task(retry=RetryPolicy(max_attempts=None, backoff=FixedBackoff(0.03), max_elapsed=0.1))
    async def fails() -> None:
        runs.append(attempt())
        raise OSError("again")

    async with app, at_work(app):
        await (await fails.submit()).wait(timeout=5)
        (letter,) = await letters(app)
    assert 2 <= len(runs) <= 4
    assert letter.reason.startswith("gave up after")


async def test_retry_later(url: str) -> None:
    app = Orcastra(url)

    @app.task(retry=RetryPolicy(max_attempts=3, backoff=FixedBackoff(3600)))
    async def asks() -> int:
        if attempt() < 3:
            raise RetryLater(0, "the shop is closed")
        return attempt()

    @app.task(retry=RetryPolicy(max_attempts=2, backoff=FixedBackoff(3600)))
    async def asks_too_often() -> None:
        raise RetryLater(0, "the shop is closed")

    @app.task
    async def has_no_policy() -> None:
        raise RetryLater(0, "the shop is closed")

    async with app, at_work(app):
        assert await (await asks.submit()) == 3
        with pytest.raises(TaskFailed, match="the shop is closed"):
            await (await asks_too_often.submit())
        with pytest.raises(TaskFailed, match="the shop is closed"):
            await (await has_no_policy.submit())


async def test_give_up(url: str) -> None:
    app, runs = Orcastra(url), list[int]()

    @app.task(retry=RetryPolicy(max_attempts=10, backoff=AT_ONCE))
    async def gives_up() -> None:
        runs.append(attempt())
        raise GiveUp("no such customer")

    async with app, at_work(app):
        with pytest.raises(TaskFailed, match="no such customer"):
            await (await gives_up.submit())
        (letter,) = await letters(app)
        assert letter.reason == "no such customer"
    assert runs == [1]


async def test_snooze_counts_no_attempt(url: str) -> None:
    app, runs = Orcastra(url), list[int]()

    @app.task
    async def sleepy() -> str:
        runs.append(attempt())
        if len(runs) < 4:
            raise Snooze(0.01)
        return "awake"

    async with app, at_work(app) as worker:
        handle = await sleepy.submit()
        assert await handle == "awake"
        assert await kinds_of(app, handle.id) == [SUBMITTED, RELEASED, RELEASED, RELEASED, COMPLETED]
        assert (worker.stats.released, worker.stats.failed) == (3, 0)
    assert runs == [1, 1, 1, 1]


@pytest.mark.parametrize("after", [float("inf"), 1e12, float("nan"), -5.0, "soon", None])
async def test_a_senseless_delay_strands_nothing(url: str, after: Any) -> None:
    """Whatever a task puts into its exception, it ends or runs again."""
    app, runs = Orcastra(url), list[int]()

    @app.task(retry=RetryPolicy(max_attempts=2, backoff=AT_ONCE))
    async def odd() -> str:
        runs.append(attempt())
        if len(runs) == 1:
            raise RetryLater(after)
        return "ran again"

    @app.task
    async def odd_too() -> str:
        runs.append(attempt())
        if len(runs) == 1:
            raise Snooze(after)
        return "ran again"

    async with app, at_work(app):
        for task in (odd, odd_too):
            runs.clear()
            result = await (await task.submit()).wait(timeout=3)
            assert result.success or len(runs) == 1
        assert (await depth(app)).running == 0


async def test_a_backoff_that_raises_strands_nothing(url: str) -> None:
    class Broken:
        def delay(self, attempt: int, rng: random.Random, /) -> float:
            raise ZeroDivisionError("in the user's backoff")

    app = Orcastra(url)

    @app.task(retry=RetryPolicy(max_attempts=2, backoff=Broken()))
    async def fails() -> None:
        raise OSError("the first")

    async with app, at_work(app):
        with pytest.raises(TaskFailed, match=r"OSError: the first|ZeroDivisionError"):
            await (await fails.submit())
        assert (await depth(app)).running == 0


async def test_a_replayed_dead_letter_starts_anew(url: str) -> None:
    app, good = Orcastra(url), list[bool]()

    @app.task(retry=RetryPolicy(max_attempts=2, backoff=AT_ONCE))
    async def sometimes() -> int:
        if not good:
            raise OSError("bad weather")
        return attempt()

    async with app, at_work(app):
        handle = await sometimes.submit()
        assert not (await handle.wait(timeout=5)).success
        good.append(True)
        assert app.broker.dead_letters is not None
        await app.broker.dead_letters.replay([handle.id])
        assert await handle == 1, "not the failure that was pushed to this client before"
        assert await letters(app) == []
