"""What the store tells a session, and what a sweep found."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import attrs

from orcastra_core.model.counts import Counts
from orcastra_core.model.ids import TaskId
from orcastra_core.model.names import QueueName, SessionId


@attrs.frozen
class CancelTask:
    """Somebody asked to cancel a task that this session runs."""

    id: TaskId


@attrs.frozen
class Fenced:
    """This session was reaped: drop its work, open a new one."""


@attrs.frozen
class DueSoon:
    """Something was deferred or rescheduled: ask ``promote`` when it is next due."""


Signal: TypeAlias = CancelTask | Fenced | DueSoon


@attrs.frozen
class Lost:
    """A delivery whose session was reaped, with its counts after that."""

    id: TaskId
    queue: QueueName
    counts: Counts
    session: SessionId


@attrs.frozen
class Swept:
    """What one sweep did.

    Attributes:
        sessions: The sessions it reaped.
        lost: The deliveries it handed out again.
        more: Whether the limit ended it: sweep again at once.
    """

    sessions: Sequence[SessionId] = ()
    lost: Sequence[Lost] = ()
    more: bool = False
