"""What a session holds, and the ways in which that may end."""

from __future__ import annotations

import enum
from typing import Any

import attrs

from orcastra_core.model.delivery import Delivery
from orcastra_kafka.classic.member import Member
from orcastra_kafka.classic.part import DONE, MOVED, Taken
from orcastra_kafka.classic.writer import Work


class End(enum.Enum):
    """How a delivery ends."""

    DONE = enum.auto()
    MOVED = enum.auto()
    RETRIED = enum.auto()
    RELEASED = enum.auto()
    LOST = enum.auto()


@attrs.frozen
class Holding:
    """What was handed out, and under which receipt.

    Attributes:
        untold: How many sessions died with it of which no event tells.
    """

    taken: Taken
    member: Member
    delivery: Delivery
    untold: int = 0

    @property
    def record(self) -> Any:
        """As it was read."""
        return self.taken.record

    @property
    def ours(self) -> bool:
        """Whether it is still ours to settle."""
        return self.member.holds(self.taken)

    def work(self, end: End) -> Work:
        """Return what has to be done for it to end. It is ours."""
        part, offset = self.taken.part, self.taken.place.offset
        if end is End.DONE or end is End.MOVED:
            change = DONE if end is End.DONE else MOVED
        elif end is End.RETRIED:
            change = part.retried(offset)
        else:
            change = part.released(offset) if end is End.RELEASED else part.bereaved(offset)
        return Work(self.taken, self.member, change)
