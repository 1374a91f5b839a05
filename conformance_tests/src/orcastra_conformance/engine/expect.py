"""Checks that say what was owed and what was seen.

No bare ``assert``: nothing rewrites it outside a test module, and it says nothing.
"""

from __future__ import annotations

from collections.abc import Awaitable, Iterable
from pprint import pformat
from typing import Any, TypeVar

T = TypeVar("T")
E = TypeVar("E", bound=BaseException)


class Violation(AssertionError):
    """The broker does not keep its contract."""


class NotApplicable(Exception):  # noqa: N818 - an outcome
    """There is nothing to prove on this broker: its limits say so."""


class Expect:
    """What a case may demand. Every check raises Violation, with its reason."""

    def true(self, held: object, because: str) -> None:
        """Demand that ``held`` is true."""
        if not held:
            raise Violation(because)

    def equal(self, got: object, want: object, because: str) -> None:
        """Demand that ``got`` equals ``want``."""
        if got != want:
            raise Violation(f"{because}\n  want: {_shown(want)}\n  got:  {_shown(got)}")

    def same(self, got: Iterable[Any], want: Iterable[Any], because: str) -> None:
        """Demand the same items, each as often, in any order."""
        self.equal(sorted(got), sorted(want), because)

    def is_a(self, got: object, kind: type[T], because: str) -> T:
        """Demand an instance, and return it."""
        if not isinstance(got, kind):
            raise Violation(f"{because}\n  want: {kind.__name__}\n  got:  {_shown(got)}")
        return got

    def found(self, got: T | None, because: str) -> T:
        """Demand something that is not None, and return it."""
        if got is None:
            raise Violation(because)
        return got

    async def raises(self, kind: type[E], call: Awaitable[object], because: str) -> E:
        """Demand that a call raises ``kind``, and return the exception."""
        try:
            got = await call
        except kind as error:
            return error
        raise Violation(f"{because}\n  want: {kind.__name__} raised\n  got:  {_shown(got)}")


def _shown(value: object) -> str:
    text = pformat(value, width=110)
    return text if len(text) <= 1500 else f"{text[:1500]}… ({len(text)} characters)"
