"""Removals are plain appends: whoever makes one reads on to it, and sees whether it found anything."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

_MARK = "mark"
"""The header by which who removes a schedule recognises his record."""


class Removals:
    """The removals of this process that are under way in one partition."""

    def __init__(self) -> None:
        self._found: dict[bytes, dict[bytes, bool]] = {}

    def expect(self, mark: bytes) -> Mapping[bytes, bool]:
        """Begin to note for which keys a removal of this mark found something."""
        return self._found.setdefault(mark, {})

    def forget(self, mark: bytes) -> None:
        """Stop that."""
        self._found.pop(mark, None)

    def note(self, key: bytes, headers: Sequence[tuple[str, bytes]], *, found: bool) -> None:
        """Take note of a removal that was read."""
        for name, mark in headers:
            if name == _MARK and mark in self._found:
                self._found[mark][key] = found


def marked(mark: bytes) -> Sequence[tuple[str, bytes]]:
    """Return the headers of a removal."""
    return ((_MARK, mark),)
