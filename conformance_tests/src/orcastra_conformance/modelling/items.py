"""What the model is made of: tasks, keys and moments."""

from __future__ import annotations

import enum
import math

import attrs

from orcastra_core.model.counts import Counts
from orcastra_core.model.envelope import Envelope
from orcastra_core.model.ids import TaskId
from orcastra_core.model.result import Result


class Where(enum.Enum):
    """Where a task is."""

    READY = "ready"
    DELAYED = "delayed"
    BLOCKED = "waits for its ordering key"
    HELD = "held"
    MOVED = "in a scheduler"
    DEAD = "dead letter"
    ENDED = "ended"


@attrs.frozen
class Moment:
    """A moment of the store's clock that is known only to lie between two, Unix seconds."""

    earliest: float
    latest: float


LONG_AGO = Moment(0.0, 0.0)
NEVER = Moment(math.inf, math.inf)


@attrs.define(eq=False)
class Item:
    """A task.

    Attributes:
        envelope: What was published last under its id.
        counts: As of its next hand-over.
        where: Where it is.
        published: When, Unix seconds.
        due: Not to be handed out before.
        holder: The session that holds it, if one does.
        seen: The counts it was published with: a repeat has one of these.
        behind: Tasks that come before it for as long as they are ready, by the promise of an ordered queue.
        loose: Whether its place among the ready is nobody's promise.
        returned: Whether it is there because it was handed back, and not because it joined the end.
        result: What it ended with.
        ended: When, Unix seconds.
    """

    envelope: Envelope
    counts: Counts
    published: float
    where: Where = Where.READY
    due: Moment = LONG_AGO
    holder: str = ""
    seen: set[Counts] = attrs.Factory(set)
    behind: set[TaskId] = attrs.Factory(set)
    loose: bool = False
    returned: bool = False
    result: Result | None = None
    ended: float = 0.0

    @property
    def id(self) -> TaskId:
        return self.envelope.id

    @property
    def alive(self) -> bool:
        """Whether it has not ended, one way or the other."""
        return self.where not in (Where.DEAD, Where.ENDED)


@attrs.frozen
class Hold:
    """A dedup key that a task holds."""

    id: TaskId
    until: Moment


def due_of(envelope: Envelope) -> Moment:
    """Return when an envelope may be handed out."""
    return LONG_AGO if envelope.due is None else Moment(envelope.due, envelope.due)
