"""Where logs really end, as a value."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import attrs

from orcastra_kafka.protocol.log import LATEST, ListOffsets


@attrs.frozen
class RealEnds(ListOffsets):
    """Ask where partitions end, open transactions included."""

    def fields(self) -> tuple[Any, ...]:
        replica, _, topics = super().fields()
        return replica, 0, topics

    @classmethod
    def of(cls, topic: str, partitions: Sequence[int]) -> RealEnds:
        """Return the question for some partitions of a topic."""
        return cls(topic, dict.fromkeys(partitions, LATEST))
