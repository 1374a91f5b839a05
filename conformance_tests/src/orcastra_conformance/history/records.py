"""Records of what was done with brokers and sessions, and of what they answered.

Every call has the number of its beginning and that of its end, drawn from one
sequence: calls whose numbers interleave overlapped, and may have taken effect
in either order. A call that raised, or was cancelled, has no answer: it may
have taken effect at any moment after its beginning, or never.
"""

from __future__ import annotations

from typing import TypeAlias

import attrs

from orcastra_core.model.delivery import Delivery
from orcastra_core.model.envelope import Envelope
from orcastra_core.model.ids import TaskId
from orcastra_core.model.names import QueueName, SessionId
from orcastra_core.model.published import Published
from orcastra_core.model.result import Absence, Result
from orcastra_core.model.session import Swept
from orcastra_core.model.settlement import Settled, Settlement
from orcastra_core.model.task_state import Cancelled


@attrs.frozen(kw_only=True)
class Call:
    """One call.

    Attributes:
        begin: Its number: when it began.
        end: When it was over.
        failed: What it raised, by name; empty if it answered.
    """

    begin: int
    end: int
    failed: str = ""


@attrs.frozen(kw_only=True)
class Publish(Call):
    """Envelopes published: an answer each."""

    envelopes: tuple[Envelope, ...]
    answer: tuple[Published, ...] | None = None


@attrs.frozen(kw_only=True)
class Open(Call):
    """A session opened."""

    answer: SessionId | None = None


@attrs.frozen(kw_only=True)
class HandOut(Call):
    """A fetch: how many it asked for, and the deliveries it got."""

    session: SessionId
    asked: int
    answer: tuple[Delivery, ...] | None = None


@attrs.frozen(kw_only=True)
class Settle(Call):
    """A numbered batch of settlements: an answer each, with what became of the envelopes they emit."""

    session: SessionId
    number: int
    batch: tuple[Settlement, ...]
    answer: tuple[Settled, ...] | None = None


@attrs.frozen(kw_only=True)
class Expire(Call):
    """A session reaped because somebody knew of its death: how many deliveries were handed out again."""

    session: SessionId
    answer: int | None = None


@attrs.frozen(kw_only=True)
class Sweep(Call):
    """Dead sessions judged and reaped."""

    answer: Swept | None = None


@attrs.frozen(kw_only=True)
class Leave(Call):
    """A session that went by itself: what it held was released."""

    session: SessionId
    answer: None = None


@attrs.frozen(kw_only=True)
class Cancel(Call):
    """Wishes to cancel: an answer each."""

    ids: tuple[TaskId, ...]
    answer: tuple[Cancelled, ...] | None = None


@attrs.frozen(kw_only=True)
class Replay(Call):
    """Dead letters put back: an answer each, None for what is no dead letter."""

    ids: tuple[TaskId, ...]
    answer: tuple[Published | None, ...] | None = None


@attrs.frozen(kw_only=True)
class Purge(Call):
    """Tasks of a queue forgotten: how many."""

    queue: QueueName
    states: tuple[str, ...]
    answer: int | None = None


@attrs.frozen(kw_only=True)
class Read(Call):
    """Results asked for: each, or why there is none."""

    ids: tuple[TaskId, ...]
    answer: tuple[Result | Absence, ...] | None = None


@attrs.frozen(kw_only=True)
class Push(Call):
    """Results that a feed was told."""

    channel: str
    answer: tuple[Result, ...] | None = None


@attrs.frozen(kw_only=True)
class Pass(Call):
    """Time that passed for the store, seconds."""

    seconds: float
    answer: None = None


@attrs.frozen(kw_only=True)
class Note(Call):
    """Something else worth knowing."""

    text: str
    answer: None = None


Record: TypeAlias = (
    Publish | Open | HandOut | Settle | Expire | Sweep | Leave | Cancel | Replay | Purge | Read | Push | Pass | Note
)
