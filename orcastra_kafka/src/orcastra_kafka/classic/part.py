"""A partition in a session's hands: what was read of it, what is held, what is done."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import attrs
from aiokafka.structs import TopicPartition

from orcastra_core.model.counts import Counts
from orcastra_core.model.names import QueueName
from orcastra_kafka.classic.ledger import HELD, Mark, read, width, write
from orcastra_kafka.classic.lines import Lines, foresee, key_of, level_of

_AHEAD = 1000
"""Records read and not handed out yet at which reading stops."""
_WORDS = 32
"""Commits that are remembered as ours."""


@attrs.frozen
class Place:
    """Where a record is, for as long as the assignment lasts in which it was read."""

    partition: TopicPartition
    offset: int
    grant: int


@attrs.frozen
class Change:
    """What a settlement makes of an offset.

    Attributes:
        mark: What is to be remembered of it; None: it is done for good.
        ahead: Whether it goes before what is ready, or behind.
        moved: Whether, done here, it is elsewhere and comes back: its ordering key waits for it.
    """

    mark: Mark | None = None
    ahead: bool = False
    moved: bool = False


DONE = Change()
MOVED = Change(moved=True)
NOTHING: Mapping[int, Change] = MappingProxyType({})


class Part:
    """What one member knows of one partition that it reads.

    Args:
        place: Which.
        grant: Number of the assignment by which it came; after another one nothing of it counts any more.
        offset: What its group committed.
        metadata: What was said beside it.
        level: The priority of what has no ordering key.
        levels: All priorities that are asked for.

    Attributes:
        next: The offset behind the last that was read.
        dirty: Whether there is something to commit.
        changed: How often something was settled.
        told: How much of that is committed.
    """

    def __init__(
        self,
        place: TopicPartition,
        grant: int,
        offset: int,
        metadata: str,
        level: int = 0,
        levels: Collection[int] = (0,),
    ) -> None:
        self.place = place
        self.grant = grant
        self._level = level
        self._levels = levels
        self.window, marks, heads = read(offset, metadata)
        # whoever held these did not end in order
        self.marks = {
            at: attrs.evolve(mark, held=False, lost=mark.lost + 1, untold=mark.untold + 1) if mark.held else mark
            for at, mark in marks.items()
        }
        self.next = offset
        self.held: dict[int, Any] = {}
        self.dirty = False
        self.changed = self.told = 0
        self._ready: dict[int, deque[Any]] = {}
        self._lines = Lines(heads)
        self._said: deque[tuple[int, str]] = deque([(offset, metadata)], maxlen=_WORDS)

    def __len__(self) -> int:
        """How many are ready to be handed out."""
        return sum(map(len, self._ready.values()))

    def ready(self, level: int) -> int:
        """How many of them are of this priority."""
        return len(self._ready.get(level, ()))

    @property
    def busy(self) -> bool:
        """Whether work of it is in hand, or was and the group does not know yet that it is over."""
        return bool(self.held) or self.changed > self.told

    @property
    def ordered(self) -> bool:
        """Whether there are ordering keys in it."""
        return self._lines.used

    @property
    def full(self) -> bool:
        """Whether nothing more should be read for now."""
        return len(self) >= _AHEAD or self.next - self.window.base >= width(len(self._lines.heads))

    def begins_anew(self, records: Sequence[Any]) -> bool:
        """Whether these were read before: the topic was removed, and made again."""
        return bool(records) and records[0].offset < self.next

    def add(self, records: Iterable[Any]) -> None:
        """Take in what was read, in order; what is done already is skipped, and of each ordering key one may go."""
        for record in records:
            offset = record.offset
            if offset > self.next:  # ends of transactions, or what compaction or a purge took away
                self.window.skip(self.next, offset)
            self.next = offset + 1
            if offset not in self.window:
                key = key_of(record)
                if key is None or self._lines.admit(record, key):
                    self._queue(record).append(record)

    def reach(self, offset: int) -> bool:
        """Take in that the log was read up to here; return whether that is new: ends of transactions are no records."""
        if offset <= self.next:
            return False
        self.window.skip(self.next, offset)
        self.next = offset
        return True

    def take(self, limit: int, level: int = 0) -> Sequence[Any]:
        """Hand out at most ``limit`` records of a priority."""
        ready = self._ready.get(level) or deque()
        taken = [ready.popleft() for _ in range(min(limit, len(ready)))]
        for record in taken:
            self.held[record.offset] = record
            mark = self.marks.get(record.offset)
            self.marks[record.offset] = HELD if mark is None else attrs.evolve(mark, held=True)
        self.dirty = self.dirty or bool(taken)
        return taken

    def settle(self, changes: Mapping[int, Change], *, told: bool = False) -> None:
        """These are no longer held; ``told``: and that is committed."""
        back: list[Any] = []
        behind: list[Any] = []
        for offset, change in changes.items():
            record = self.held.pop(offset)
            if change.mark is None:
                self.marks.pop(offset, None)
                behind += self._lines.over(record, moved=change.moved)
                continue
            self.marks[offset] = change.mark
            (back if change.ahead else behind).append(record)
        for record in reversed(back):
            self._queue(record).appendleft(record)
        for record in behind:
            self._queue(record).append(record)
        self.window.finish([offset for offset, change in changes.items() if change.mark is None])
        self.changed += 1
        if told:
            self.told = self.changed
        self.dirty = self.dirty or not told

    def retried(self, offset: int) -> Change:
        """Return what an attempt that failed makes of an offset: it goes behind what is ready."""
        mark = self.marks[offset]
        return Change(attrs.evolve(mark, held=False, attempt=mark.attempt + 1, lost=0, untold=0))

    def released(self, offset: int) -> Change:
        """Return what being handed back makes of an offset: it goes before what is ready."""
        mark = self.marks[offset]
        return Change(attrs.evolve(mark, held=False, released=mark.released + 1, lost=0, untold=0), ahead=True)

    def bereaved(self, offset: int) -> Change:
        """Return what the end of its session makes of an offset, if that is told of: it goes before what is ready."""
        mark = self.marks[offset]
        return Change(attrs.evolve(mark, held=False, lost=mark.lost + 1, untold=0), ahead=True)

    def untold(self, offset: int) -> int:
        """Return how many sessions died with it of which no event tells."""
        return self.marks[offset].untold

    def counts(self, offset: int, first: Counts) -> Counts:
        """Return the counts of a record that came with ``first``."""
        mark = self.marks.get(offset)
        if mark is None or mark is HELD:
            return first
        return Counts(first.attempt + mark.attempt, first.lost + mark.lost, first.released + mark.released)

    def commit(self, changes: Mapping[int, Change] = NOTHING) -> tuple[int, str]:
        """Return what to commit, as if these had taken place, and take it for on its way."""
        window, marks, heads = self.window, self.marks, self._lines.heads
        if changes:
            window, marks, heads = window.copy(), dict(marks), dict(heads)
            window.finish([offset for offset, change in changes.items() if change.mark is None])
            for offset, change in changes.items():
                marks.pop(offset, None)
                if change.mark is not None:
                    marks[offset] = change.mark
                else:
                    foresee(heads, self.held[offset], moved=change.moved)
        said = window.base, write(window, marks, heads)
        self._said.append(said)
        self.dirty = False
        return said

    def is_at(self, said: tuple[int, str]) -> bool:
        """Whether the group's last word about this partition was ours: then nobody else has handed out any of it since."""
        return said in self._said

    def _queue(self, record: Any) -> deque[Any]:
        level = self._level
        if key_of(record) is not None and (own := level_of(record)) in self._levels:
            level = own
        return self._ready.setdefault(level, deque())


@attrs.frozen
class Taken:
    """A record that was handed out, and where it has to be settled."""

    queue: QueueName
    place: Place
    record: Any
    part: Part
