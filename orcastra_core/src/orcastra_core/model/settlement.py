"""What became of a delivery, and what the store answered."""

from __future__ import annotations

import enum
from collections.abc import Sequence
from typing import Final, Literal, TypeAlias

import attrs

from orcastra_core.model.delivery import Delivery
from orcastra_core.model.envelope import Envelope
from orcastra_core.model.errors import BrokerError, OrcastraError
from orcastra_core.model.published import Published
from orcastra_core.model.result import ErrorInfo, Result

# In all of these ``events`` is a CBOR sequence (RFC 8742) of event records
# made by the runtime; the backend appends it as it is, with the item or not at all.


@attrs.frozen
class Complete:
    """Finished for good: completed, or cancelled while it ran.

    Attributes:
        delivery: What is settled.
        result: Stored with its TTL and pushed to ``envelope.reply``.
        emit: Envelopes published in the same step.
        events: Appended in the same step.
    """

    delivery: Delivery
    result: Result
    emit: Sequence[Envelope] = ()
    events: bytes = b""


@attrs.frozen
class Retry:
    """The attempt failed; hand it out again ``after`` seconds, ``attempt`` + 1, behind what is ready by then."""

    delivery: Delivery
    after: float
    error: ErrorInfo
    events: bytes = b""


@attrs.frozen
class Dead:
    """Failed for good: keep it as a dead letter, store the failed result, free its dedup key."""

    delivery: Delivery
    reason: str
    error: ErrorInfo
    result: Result
    emit: Sequence[Envelope] = ()
    events: bytes = b""


@attrs.frozen
class Release:
    """Hand it back for ``after`` seconds: ``released`` + 1, no attempt counted.

    At once (``after`` 0), it goes ahead of what was published after it, where
    Cap.ORDERED_QUEUE is claimed.
    """

    delivery: Delivery
    after: float = 0.0
    events: bytes = b""


@attrs.frozen
class Moved:
    """It is durable elsewhere (a Scheduler has it): remove it here and store no result.

    Its dedup key and its place in the line of its ordering key stay held, for
    the same id to take up again; a cancel of the id frees them.
    """

    delivery: Delivery
    events: bytes = b""


Settlement: TypeAlias = Complete | Retry | Dead | Release | Moved


@attrs.frozen
class Done:
    """The settlement took effect, all of it.

    Attributes:
        emitted: Aligned with the settlement's ``emit``: Stored, Duplicate or Refused.
    """

    emitted: Sequence[Published] = ()


class Stale(enum.Enum):
    """Singleton: too late, this hand-over was taken away; nothing took effect."""

    STALE = "stale"


STALE: Final = Stale.STALE


@attrs.frozen
class Failed:
    """This item could not be settled; nothing of it took effect, the delivery is still held.

    ``error`` is a BrokerError (repeat if retryable) or a UsageError that
    says what about the item was wrong.
    """

    error: BrokerError | OrcastraError


Settled: TypeAlias = Done | Literal[Stale.STALE] | Failed
DONE = Done()
