"""Retry policies: pure arithmetic on attempts and exceptions.

Full jitter draws uniformly from [0, delay] (Brooker, «Exponential Backoff And
Jitter», AWS Architecture Blog, 2015).
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterable
from typing import Any, Protocol

import attrs

from orcastra_core.model.errors import InvalidOption


def _number(least: float, optional: bool = False) -> Any:
    def check(_instance: object, attribute: attrs.Attribute[Any], value: object) -> None:
        if optional and value is None:
            return
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value) or value < least:
            raise InvalidOption(f"{attribute.name}={value!r}: expected a number, at least {least:g}")

    return check


_seconds = _number(0)


class Backoff(Protocol):
    """Seconds to wait after the n-th failed attempt, n from 1."""

    def delay(self, attempt: int, rng: random.Random, /) -> float:
        """Return the seconds to wait after failed attempt number ``attempt``."""
        ...


@attrs.frozen
class FixedBackoff:
    """The same delay every time.

    Attributes:
        seconds: The delay.
        jitter: Draw from [0, seconds] instead.
    """

    seconds: float = attrs.field(default=1.0, validator=_seconds)
    jitter: bool = attrs.field(default=False, kw_only=True)

    def delay(self, attempt: int, rng: random.Random, /) -> float:
        return _spread(self.seconds, self.jitter, rng)


@attrs.frozen
class LinearBackoff:
    """``initial``, then ``increment`` more each time, at most ``maximum``."""

    initial: float = attrs.field(default=1.0, validator=_seconds)
    increment: float = attrs.field(default=1.0, validator=_seconds)
    maximum: float = attrs.field(default=300.0, validator=_seconds)
    jitter: bool = attrs.field(default=False, kw_only=True)

    def __attrs_post_init__(self) -> None:
        _check_order(self.initial, self.maximum)

    def delay(self, attempt: int, rng: random.Random, /) -> float:
        return _spread(min(self.initial + self.increment * (attempt - 1), self.maximum), self.jitter, rng)


@attrs.frozen
class ExponentialBackoff:
    """``initial``, then ``multiplier`` times the one before, at most ``maximum``."""

    initial: float = attrs.field(default=1.0, validator=_seconds)
    multiplier: float = attrs.field(default=2.0, validator=_number(1))
    maximum: float = attrs.field(default=300.0, validator=_seconds)
    jitter: bool = attrs.field(default=False, kw_only=True)

    def __attrs_post_init__(self) -> None:
        _check_order(self.initial, self.maximum)

    def delay(self, attempt: int, rng: random.Random, /) -> float:
        try:
            seconds = self.initial * self.multiplier ** (attempt - 1)
        except OverflowError:
            seconds = self.maximum if self.initial else 0.0
        return _spread(min(seconds, self.maximum), self.jitter, rng)


def _check_order(initial: float, maximum: float) -> None:
    if initial > maximum:
        raise InvalidOption(f"initial={initial:g} is above maximum={maximum:g}: give a larger maximum too")


def _backoff(_instance: object, attribute: attrs.Attribute[Any], value: object) -> None:
    if isinstance(value, type) or not callable(getattr(value, "delay", None)):
        raise InvalidOption(f"{attribute.name}={value!r}: expected a backoff, for example FixedBackoff(5)")


def _spread(seconds: float, jitter: bool, rng: random.Random) -> float:
    return rng.uniform(0.0, seconds) if jitter else seconds


def _as_tuple(types: type[BaseException] | Iterable[type[BaseException]]) -> tuple[type[BaseException], ...]:
    if isinstance(types, type):
        return (types,)
    given: Any = types
    return tuple(given) if isinstance(given, Iterable) else (given,)  # the validator says what is wrong with it


def _exceptions(_instance: object, attribute: attrs.Attribute[Any], value: tuple[object, ...]) -> None:
    for item in value:
        if not (isinstance(item, type) and issubclass(item, BaseException)):
            raise InvalidOption(f"{attribute.name}: {item!r} is not an exception class")


def _attempts(_instance: object, attribute: attrs.Attribute[Any], value: object) -> None:
    if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 1):
        raise InvalidOption(f"{attribute.name}={value!r}: expected a whole number, at least 1, or None for no bound")


@attrs.frozen(kw_only=True)
class RetryPolicy:
    """When a failed attempt is tried again, and how much later.

    Attributes:
        max_attempts: Attempts in all, the first included; None for no bound.
        backoff: How long to wait between them.
        retry_on: Exceptions worth another attempt.
        give_up_on: Exceptions that are not, even if ``retry_on`` names a base of theirs.
        max_elapsed: Seconds since the submit after which no attempt is started any more.
    """

    max_attempts: int | None = attrs.field(default=3, validator=_attempts)
    backoff: Backoff = attrs.field(default=ExponentialBackoff(), validator=_backoff)
    retry_on: tuple[type[BaseException], ...] = attrs.field(
        default=(Exception,), converter=_as_tuple, validator=_exceptions
    )
    give_up_on: tuple[type[BaseException], ...] = attrs.field(default=(), converter=_as_tuple, validator=_exceptions)
    max_elapsed: float | None = attrs.field(default=None, validator=_number(0, optional=True))

    def wants(self, error: BaseException) -> bool:
        """Whether this kind of exception is worth another attempt."""
        return isinstance(error, self.retry_on) and not isinstance(error, self.give_up_on)

    def next_delay(
        self, failed: int, elapsed: float, rng: random.Random, *, after: float | None = None
    ) -> float | None:
        """Return the seconds to wait after ``failed`` failed attempts, or None to stop.

        Args:
            failed: Attempts that have failed, this one included.
            elapsed: Seconds since the submit.
            rng: Where jitter comes from.
            after: A delay the task asked for itself, instead of the backoff's.
        """
        if self.max_attempts is not None and failed >= self.max_attempts:
            return None
        delay = self.backoff.delay(failed, rng) if after is None else after
        if self.max_elapsed is not None and elapsed + delay > self.max_elapsed:
            return None
        return delay


NO_RETRY = RetryPolicy(max_attempts=1)
