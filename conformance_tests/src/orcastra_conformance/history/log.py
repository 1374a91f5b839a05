"""The history of one case while it grows."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from typing import TypeVar

from orcastra_conformance.history.records import Note, Record
from orcastra_conformance.history.telling import told

T = TypeVar("T")


class History:
    """Records in the order in which their calls were over. Iterates over its lines.

    Attributes:
        records: For the checkers.
    """

    def __init__(self) -> None:
        self.records: list[Record] = []
        self._last = 0

    def __iter__(self) -> Iterator[str]:
        """Yield each record in words, with its number."""
        return (f"{record.begin:>3} {told(record)}" for record in self.records)

    def __len__(self) -> int:
        return len(self.records)

    def note(self, text: str) -> None:
        """Add a line of words."""
        number = self._next()
        self.records.append(Note(begin=number, end=number, text=text))

    async def of(self, call: Awaitable[T], make: Callable[..., Record], kept: Callable[[T], object]) -> T:
        """Await a call and record it, whatever becomes of it.

        Args:
            call: What to await.
            make: Makes the record out of ``begin``, ``end``, ``failed`` and ``answer``.
            kept: What to keep of the answer, immutable.
        """
        begin = self._next()
        try:
            answer = await call
        except BaseException as error:
            self.records.append(make(begin=begin, end=self._next(), failed=type(error).__name__))
            raise
        self.records.append(make(begin=begin, end=self._next(), answer=kept(answer)))
        return answer

    def _next(self) -> int:
        self._last += 1
        return self._last
