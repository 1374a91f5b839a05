"""What a case may demand of calls that a fault hits: an answer or a typed error, in bounded time, and recovery."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from orcastra_conformance.engine.expect import Violation
from orcastra_conformance.engine.harness import Unproven
from orcastra_conformance.engine.trial import Trial
from orcastra_conformance.faults.valve import Trap
from orcastra_core.interfaces.broker import Broker
from orcastra_core.model.envelope import Envelope
from orcastra_core.model.errors import BrokerError, BrokerTimeout, BrokerUnavailable
from orcastra_core.model.published import Duplicate, Published, Stored, Unknown

T = TypeVar("T")

BUDGET = 30.0
"""Seconds for cases that wait for a broker's own timeouts, once or twice."""
CUTS = [(at, part) for at in range(15) for part in (0.0, 0.5, 1.0)]
"""Where to cut a call, for ``Proxy.trap``: before, within and after each chunk of its conversation."""


def mark(t: Trial) -> bytes:
    """Return bytes that are recognised wherever they go by."""
    return f"conformance-{t.rng.getrandbits(64):016x}".encode()


def went_by(t: Trial, trap: Trap) -> None:
    """Note what a trap did. Raises Unproven if its pattern never came."""
    if not trap.seen:
        raise Unproven(f"{trap.patterns} was sent and cannot be recognised on the wire: nobody knows where to cut")
    t.note(f"cut at chunk {trap.at}, of which {trap.part:.0%} went on" if trap.sprung.is_set() else "nothing was cut")


def patience(t: Trial) -> float:
    """Seconds within which a call that gets no answer has to raise, and a healed connection has to be of use again."""
    return 2 * t.profile.limits.connect_timeout + t.harness.soon


async def bounded(t: Trial, call: Awaitable[T], because: str) -> T:
    """Demand that a call is over within ``patience``, one way or another."""
    ends = asyncio.timeout(patience(t))
    try:
        async with ends:
            return await call
    except TimeoutError:
        if not ends.expired():
            raise
        raise Violation(f"{because}; it still was not over after {patience(t):g} s") from None


def typed(t: Trial, error: BaseException, call: str) -> BrokerError:
    """Demand that an error is what the contract has a lost or silent connection raise."""
    t.note(f"{call} → {type(error).__name__}: {error}")
    if not isinstance(error, (BrokerUnavailable, BrokerTimeout)):
        raise Violation(
            f"{call}: a connection that is lost or silent raises BrokerUnavailable or BrokerTimeout, nothing else\n"
            f"  got:  {type(error).__name__}: {error}"
        ) from error
    t.expect.true(error.retryable, f"{call}: the error says that a repeat may succeed")
    t.expect.true(error.__cause__ is not None, f"{call}: __cause__ keeps the client library's own error")
    return error


async def sprung(t: Trial, trap: Trap) -> None:
    """Wait until a trap has gone off. Raises Unproven if its pattern is not recognised."""
    try:
        async with asyncio.timeout(patience(t)):
            await trap.sprung.wait()
    except TimeoutError:
        raise Unproven(f"none of {trap.patterns} can be recognised on the wire") from None


async def tried(t: Trial, call: Awaitable[T], name: str) -> T | None:
    """Return a call's answer, or None if it raised what it may; demand that it is over in bounded time."""
    try:
        return await bounded(t, call, f"{name}: a call without an answer raises BrokerTimeout or BrokerUnavailable")
    except Violation:
        raise
    except Exception as error:  # noqa: BLE001 - it is judged
        typed(t, error, name)
        return None


async def again(t: Trial, call: Callable[[], Awaitable[T]], name: str) -> T:
    """Repeat a call as the runtime would until it answers, and demand that it does, on the same broker."""

    async def repeat() -> T:
        while True:
            try:
                return await call()
            except BrokerError as error:
                typed(t, error, name)
                await t.harness.clock.sleep(t.moment)

    return await bounded(t, repeat(), f"{name}: once the fault is over the same broker works again")


async def repeated(t: Trial, broker: Broker, envelopes: Sequence[Envelope]) -> Sequence[Published]:
    """Publish until every answer is known, and demand that each is Stored, or Duplicate of itself."""

    async def publish() -> Sequence[Published]:
        answers = await t.publish(broker, *envelopes)
        for answer in answers:
            if isinstance(answer, Unknown):
                raise answer.error
        return answers

    answers = await again(t, publish, "publish")
    for envelope, answer in zip(envelopes, answers, strict=True):
        t.expect.true(
            isinstance(answer, Stored) or answer == Duplicate(envelope.id),
            f"a repeat is stored, or Duplicate of itself, not {answer}",
        )
    return answers


def known(t: Trial, answers: Sequence[Published], envelopes: Sequence[Envelope]) -> list[Envelope]:
    """Return what was confirmed; demand that the rest is Unknown, with a typed error."""
    confirmed: list[Envelope] = []
    for envelope, answer in zip(envelopes, answers, strict=True):
        if isinstance(answer, Stored):
            confirmed.append(envelope)
        else:
            typed(t, t.expect.is_a(answer, Unknown, "what got no answer is Unknown").error, "publish")
    return confirmed
