"""Which offsets of a partition are done, though others before them are not."""

from __future__ import annotations

from collections.abc import Iterable

import attrs

WINDOW = 20_000
"""Offsets between the first that is not done and the last that was read, at most: their bits fit into a commit's metadata."""


@attrs.define
class Window:
    """Done offsets above a watermark.

    Attributes:
        base: The watermark: every offset below is done, this one is not.
        bits: What is done from there on; the lowest bit is ``base``'s.
    """

    base: int
    bits: int = 0

    def __contains__(self, offset: int) -> bool:
        """Whether it is done."""
        return offset < self.base or bool(self.bits >> (offset - self.base) & 1)

    def finish(self, offsets: Iterable[int]) -> None:
        """Note that these are done, and move the watermark over all that is done in a row."""
        bits = self.bits
        for offset in offsets:
            if offset >= self.base:
                bits |= 1 << (offset - self.base)
        row = (~bits & (bits + 1)).bit_length() - 1
        self.base += row
        self.bits = bits >> row

    def skip(self, first: int, end: int) -> None:
        """Note that the log has nothing from ``first`` up to, not including, ``end``."""
        first = max(first, self.base)
        if end > first:
            self.bits |= ((1 << (end - first)) - 1) << (first - self.base)
            self.finish(())

    def copy(self) -> Window:
        """Return one that does not change with this one."""
        return Window(self.base, self.bits)
