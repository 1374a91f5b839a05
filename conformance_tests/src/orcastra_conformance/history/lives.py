"""The lives of tasks, read out of the records: who held them when, and what ended that."""

from __future__ import annotations

import math
from collections.abc import Sequence

import attrs

from orcastra_conformance.history.records import (
    Call,
)
from orcastra_core.model.delivery import Delivery
from orcastra_core.model.envelope import Envelope
from orcastra_core.model.ids import TaskId
from orcastra_core.model.names import SessionId
from orcastra_core.model.published import Duplicate, Published, Stored, Unknown
from orcastra_core.model.settlement import Complete, Dead, Done, Settled, Settlement


@attrs.frozen
class Span:
    """When something took effect: after ``begin``, before ``end`` (which may be never)."""

    begin: float
    end: float

    def before(self, other: Span) -> bool:
        """Whether it was surely over when the other began."""
        return self.end < other.begin


def span(call: Call) -> Span:
    """Return when a call took effect: one that failed may do so later than it ended."""
    return Span(call.begin, math.inf if call.failed else call.end)


@attrs.frozen
class Sent:
    """One attempt to have a task stored, by publish or as what another emits.

    Attributes:
        at: When.
        place: Its place in its batch.
        answer: What was said; None if nothing was.
    """

    envelope: Envelope
    at: Span
    place: int
    answer: Published | None

    @property
    def stored(self) -> bool:
        """Whether it is confirmed that it was stored, by this attempt or by one before."""
        return isinstance(self.answer, Stored) or self.answer == Duplicate(self.envelope.id)

    @property
    def may_be_stored(self) -> bool:
        """Whether it may have been stored, as far as its sender knows."""
        return self.answer is None or isinstance(self.answer, (Stored, Unknown))


@attrs.frozen
class Settling:
    """One settlement of one delivery: a repeat under the same number is none of its own.

    Attributes:
        answer: The first that came; None if none did.
        calls: The records that asked for it.
    """

    session: SessionId
    item: Settlement
    at: Span
    answer: Settled | None
    calls: Sequence[int]

    @property
    def id(self) -> TaskId:
        return self.item.delivery.envelope.id

    @property
    def final(self) -> bool:
        """Whether it would end the task for good."""
        return isinstance(self.item, (Complete, Dead))

    @property
    def done(self) -> bool:
        return isinstance(self.answer, Done)

    @property
    def may_be_done(self) -> bool:
        return self.answer is None or self.done


@attrs.frozen
class Hold:
    """A delivery in the hands of a session.

    Attributes:
        at: When it was handed out.
        place: Its place in what the fetch gave.
        settlings: What the session asked for with it, in their order.
        gone: When the session was reaped or left; None if it was not.
        how: Which of the two: «Expire», «Sweep» or «Leave»; more than one where they overlapped.
    """

    session: SessionId
    delivery: Delivery
    at: Span
    place: int
    settlings: Sequence[Settling] = ()
    gone: Span | None = None
    how: frozenset[str] = frozenset()

    @property
    def id(self) -> TaskId:
        return self.delivery.envelope.id

    @property
    def settled(self) -> Settling | None:
        """Return the settlement that took effect, if one is known to have."""
        return next((one for one in self.settlings if one.done), None)

    @property
    def may_end(self) -> float:
        """The first moment at which it may have been over."""
        if self.settled is not None:
            return self.settled.at.begin
        moments = [one.at.begin for one in self.settlings if one.answer is None]
        return min([*moments, self.gone.begin] if self.gone is not None else moments, default=math.inf)
