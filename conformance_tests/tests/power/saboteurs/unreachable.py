"""Faults in what is said, and done, when the server cannot be reached: on the served broker."""

from __future__ import annotations

from typing import Any

import pytest

from orcastra_core.model.errors import BrokerError, BrokerUnavailable
from power.saboteur import saboteur
from power.saboteurs.network import brisk
from power.served.harness import Harness
from power.served.session import ServedSession
from power.served.stores import ServedFeed
from power.served.talk import Line


def translate(patch: pytest.MonkeyPatch, change: Any) -> None:
    """Have errors of lost connections changed."""
    call = Line.call

    async def changed(self: Line, operation: str, *args: object, **kwargs: object) -> Any:
        try:
            return await call(self, operation, *args, **kwargs)
        except BrokerError as error:
            if error.__cause__ is None:
                raise
            change(error, operation)
            raise

    patch.setattr(Line, "call", changed)


@saboteur(
    "leaks-reset-errors",
    "lets its client library's errors through",
    killed_by=("hon.typed-errors-on-the-wire", "con.lost-reply"),
)
def _(patch: pytest.MonkeyPatch) -> Harness:
    def leak(error: BrokerError, operation: str) -> None:
        if operation != "broker.publish" and error.__cause__ is not None:
            raise error.__cause__

    translate(patch, leak)
    return brisk()


@saboteur(
    "leaks-from-one-method",
    "lets its client library's errors through in find alone",
    killed_by=("hon.typed-errors-on-the-wire",),
)
def _(patch: pytest.MonkeyPatch) -> Harness:
    def leak(error: BrokerError, operation: str) -> None:
        if operation == "broker.find" and error.__cause__ is not None:
            raise error.__cause__

    translate(patch, leak)
    return brisk()


@saboteur(
    "hides-the-cause",
    "raises the right error without what led to it",
    killed_by=("hon.typed-errors-on-the-wire", "pub.lost-reply", "life.unreachable"),
)
def _(patch: pytest.MonkeyPatch) -> Harness:
    def hide(error: BrokerError, operation: str) -> None:
        raise BrokerUnavailable(str(error)) from None

    translate(patch, hide)
    return brisk()


@saboteur(
    "says-it-is-final",
    "says of a lost connection that a repeat cannot succeed",
    killed_by=("hon.typed-errors-on-the-wire", "num.lost-reply", "fault.half-open"),
)
def _(patch: pytest.MonkeyPatch) -> Harness:
    def settle_it(error: BrokerError, operation: str) -> None:
        error.retryable = False

    translate(patch, settle_it)
    return brisk()


@saboteur(
    "a-feeds-close-fails",
    "raises from a feed's close when the server is gone",
    killed_by=("fault.close-while-unreachable",),
)
def _(patch: pytest.MonkeyPatch) -> Harness:
    async def close(self: ServedFeed) -> None:
        self._closed = True
        await self._calls.call("domain.unsubscribe", self.channel)

    patch.setattr(ServedFeed, "close", close)
    return brisk()


@saboteur(
    "leave-fails",
    "raises from leave when the server is gone",
    killed_by=("fault.close-while-unreachable",),
)
def _(patch: pytest.MonkeyPatch) -> Harness:
    async def leave(self: ServedSession) -> None:
        await self._line.call("session.leave", self.id)
        self._left = True
        self._ended(self)
        await self.fall_silent()

    patch.setattr(ServedSession, "leave", leave)
    return brisk()
