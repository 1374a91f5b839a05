"""The event log's records, bounded."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from itertools import islice


class EventList:
    """Pieces of the log in order, each one or more encoded records, numbered from 1 without gaps."""

    __slots__ = ("_bound", "_pieces", "_total")

    def __init__(self, bound: int) -> None:
        self._bound = bound
        self._pieces: deque[bytes] = deque(maxlen=bound)
        self._total = 0

    def __len__(self) -> int:
        return len(self._pieces)

    def extend(self, pieces: list[bytes]) -> None:
        """Append; beyond the bound the oldest go."""
        self._pieces.extend(pieces)
        self._total += len(pieces)

    def from_number(self, number: int, most: int) -> Iterable[tuple[int, bytes]]:
        """Return at most ``most`` pieces with their numbers, from ``number`` or the first that is left."""
        first = self._total - len(self._pieces) + 1
        skip = min(max(0, number - first), len(self._pieces))
        return list(enumerate(islice(self._pieces, skip, skip + most), first + skip))

    def trim(self, keep: int) -> int:
        """Drop the oldest but ``keep``; return how many went."""
        surplus = max(0, len(self._pieces) - max(0, keep))
        for _ in range(surplus):
            self._pieces.popleft()
        return surplus
