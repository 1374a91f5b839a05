"""Retry policies: delays, jitter, and when there is no further attempt."""

from __future__ import annotations

import random
from typing import Any

import pytest

from orcastra_core.model.errors import InvalidOption
from orcastra_core.model.retry import (
    NO_RETRY,
    Backoff,
    ExponentialBackoff,
    FixedBackoff,
    LinearBackoff,
    RetryPolicy,
)

RNG = random.Random(7)


def delays(backoff: Backoff, attempts: int = 6) -> list[float]:
    return [backoff.delay(n, RNG) for n in range(1, attempts + 1)]


def test_fixed() -> None:
    assert delays(FixedBackoff(2.5)) == [2.5] * 6


def test_linear_begins_with_initial() -> None:
    assert delays(LinearBackoff(initial=1, increment=2, maximum=8)) == [1, 3, 5, 7, 8, 8]


def test_exponential_begins_with_initial() -> None:
    assert delays(ExponentialBackoff(initial=0.5, multiplier=3, maximum=10)) == [0.5, 1.5, 4.5, 10, 10, 10]


@pytest.mark.parametrize(
    "backoff",
    [
        FixedBackoff(4, jitter=True),
        LinearBackoff(initial=4, increment=1, jitter=True),
        ExponentialBackoff(initial=4, jitter=True),
    ],
)
def test_full_jitter(backoff: Any) -> None:
    import attrs

    whole = attrs.evolve(backoff, jitter=False)
    for attempt in (1, 2, 5):
        most = whole.delay(attempt, RNG)
        drawn = [backoff.delay(attempt, RNG) for _ in range(500)]
        assert all(0 <= one <= most for one in drawn)
        assert min(drawn) < most * 0.1, "full jitter reaches down to 0"
        assert max(drawn) > most * 0.9, "and up to the whole delay"


def test_jitter_comes_from_the_given_source() -> None:
    backoff = ExponentialBackoff(jitter=True)
    assert delays(backoff) != delays(backoff)
    assert [backoff.delay(1, random.Random(3)) for _ in range(3)] == [backoff.delay(1, random.Random(3))] * 3


@pytest.mark.parametrize("attempt", [64, 1025, 10**6])
def test_no_overflow(attempt: int) -> None:
    assert ExponentialBackoff(initial=1, maximum=60).delay(attempt, RNG) == 60
    assert ExponentialBackoff(initial=0, maximum=60).delay(attempt, RNG) == 0
    assert LinearBackoff(maximum=60).delay(attempt, RNG) == 60


@pytest.mark.parametrize("kind", [LinearBackoff, ExponentialBackoff])
def test_an_initial_above_the_maximum_is_not_clamped_but_refused(kind: Any) -> None:
    with pytest.raises(InvalidOption, match="initial=600 is above maximum=300"):
        kind(initial=600)
    assert kind(initial=600, maximum=600).delay(1, RNG) == 600


@pytest.mark.parametrize(
    "make",
    [
        lambda: FixedBackoff(-1),
        lambda: FixedBackoff(float("nan")),
        lambda: FixedBackoff("5"),  # type: ignore[arg-type]
        lambda: FixedBackoff(True),
        lambda: LinearBackoff(increment=-1),
        lambda: ExponentialBackoff(multiplier=0.5),
        lambda: ExponentialBackoff(maximum=float("inf")),
        lambda: RetryPolicy(max_attempts=0),
        lambda: RetryPolicy(max_attempts=2.0),  # type: ignore[arg-type]
        lambda: RetryPolicy(max_attempts=True),
        lambda: RetryPolicy(max_elapsed=-1),
        lambda: RetryPolicy(retry_on=(ValueError, "OSError")),  # type: ignore[arg-type]
        lambda: RetryPolicy(give_up_on=5),  # type: ignore[arg-type]
        lambda: RetryPolicy(backoff=5.0),  # type: ignore[arg-type]
        lambda: RetryPolicy(backoff=FixedBackoff),  # type: ignore[arg-type]
    ],
)
def test_bad_options_are_refused_at_once(make: Any) -> None:
    with pytest.raises(InvalidOption):
        make()


def test_max_attempts_counts_the_first() -> None:
    policy = RetryPolicy(max_attempts=3, backoff=FixedBackoff(1))
    assert [policy.next_delay(n, 0, RNG) for n in (1, 2, 3, 4)] == [1, 1, None, None]
    assert RetryPolicy(max_attempts=None, backoff=FixedBackoff(1)).next_delay(10**6, 0, RNG) == 1
    assert NO_RETRY.next_delay(1, 0, RNG) is None


def test_max_elapsed_bounds_the_start_of_the_next_attempt() -> None:
    policy = RetryPolicy(max_attempts=None, backoff=FixedBackoff(10), max_elapsed=60)
    assert policy.next_delay(1, 50, RNG) == 10
    assert policy.next_delay(1, 50.1, RNG) is None


def test_a_delay_that_the_task_asked_for_keeps_the_bounds() -> None:
    policy = RetryPolicy(max_attempts=2, backoff=FixedBackoff(10), max_elapsed=60)
    assert policy.next_delay(1, 0, RNG, after=0.5) == 0.5
    assert policy.next_delay(1, 0, RNG, after=0) == 0
    assert policy.next_delay(2, 0, RNG, after=0.5) is None
    assert policy.next_delay(1, 59, RNG, after=5) is None


def test_which_exceptions() -> None:
    policy = RetryPolicy(retry_on=(OSError, ValueError), give_up_on=FileNotFoundError)
    assert policy.wants(OSError())
    assert policy.wants(ConnectionResetError())
    assert policy.wants(UnicodeDecodeError("utf-8", b"", 0, 1, ""))
    assert not policy.wants(FileNotFoundError())
    assert not policy.wants(KeyError())


def test_by_default_every_exception_but_no_exit() -> None:
    policy = RetryPolicy()
    assert policy.wants(RuntimeError())
    assert not policy.wants(SystemExit())
    assert not policy.wants(KeyboardInterrupt())
