"""Acknowledgements that wait for the next request, and how they are put into rows."""

from __future__ import annotations

import asyncio
import enum
from collections.abc import Iterable, Mapping, Sequence

import attrs

from orcastra_kafka.share.messages import AckRows, Partition


class AckType(enum.IntEnum):
    """What becomes of an acquired offset."""

    GAP = 0
    """There is no record at this offset: a control batch, or compacted away."""
    ACCEPT = 1
    RELEASE = 2
    """Hand it out again at once; counts as a delivery."""
    REJECT = 3
    """Archive it as undeliverable."""
    RENEW = 4
    """Keep the lock for its full duration from now."""


class Answers:
    """The answers to the acknowledgements of one call: 0, or an error code, for each."""

    def __init__(self, number: int) -> None:
        self._codes: list[int | None] = [None] * number
        self._missing = number
        self._whole: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        if not number:
            self._whole.set_result(None)

    def give(self, place: int, code: int) -> None:
        """Give an answer. The first one counts."""
        if self._codes[place] is None:
            self._codes[place] = code
            self._missing -= 1
            if not self._missing and not self._whole.done():
                self._whole.set_result(None)

    async def all(self) -> list[int]:
        """Wait for all of them."""
        await self._whole
        return [code for code in self._codes if code is not None]


@attrs.define(eq=False)
class Ack:
    """One acknowledgement on its way.

    Attributes:
        answers: Where its answer goes. None: nobody waits.
        place: And which of them it is.
        tries: How often the broker had no time for it.
    """

    partition: Partition
    offset: int
    type: AckType
    answers: Answers | None = None
    place: int = 0
    tries: int = 0

    def answer(self, code: int) -> None:
        """Give it its answer, once."""
        if self.answers is not None:
            self.answers.give(self.place, code)


def rows_of(acks: Iterable[Ack]) -> AckRows:
    """Return rows of runs of consecutive offsets, one type byte for a run of equal types.

    Args:
        acks: Of one partition; each offset at most once.
    """
    rows: list[tuple[int, int, Sequence[int]]] = []
    first = last = kind = -1
    for ack in sorted(acks, key=_offset):
        if ack.offset == last + 1 and ack.type == kind and first >= 0:
            last = ack.offset
            continue
        if first >= 0:
            rows.append((first, last, (kind,)))
        first = last = ack.offset
        kind = int(ack.type)
    if first >= 0:
        rows.append((first, last, (kind,)))
    return rows


def _offset(ack: Ack) -> int:
    return ack.offset


def by_partition(acks: Iterable[Ack]) -> dict[Partition, list[Ack]]:
    """Sort acknowledgements by partition."""
    sorted_: dict[Partition, list[Ack]] = {}
    for ack in acks:
        sorted_.setdefault(ack.partition, []).append(ack)
    return sorted_


def rows_by_partition(acks: Mapping[Partition, Sequence[Ack]]) -> dict[Partition, AckRows]:
    """Return what a request carries."""
    return {partition: rows_of(some) for partition, some in acks.items()}


class Narrowing:
    """Finds the acknowledgements that are at fault where a partition refused all of its request's.

    A partition takes all of a request's acknowledgements or none. One whose lock has run out (121) takes its healthy
    neighbours with it: they are sent again in halves, until each has an answer of its own.
    """

    def __init__(self) -> None:
        self._groups: list[list[Ack]] = []

    def __bool__(self) -> bool:
        return bool(self._groups)

    def split(self, acks: list[Ack]) -> None:
        """Halve a group that was refused."""
        half = len(acks) // 2
        self._groups += [acks[:half], acks[half:]]

    def next(self) -> list[Ack]:
        """Return the groups to send in one request: at most one a partition."""
        taken: dict[Partition, list[Ack]] = {}
        self._groups = [group for group in self._groups if taken.setdefault(group[0].partition, group) is not group]
        return [ack for group in taken.values() for ack in group]

    def drain(self) -> list[Ack]:
        """Give up: return all of them."""
        groups, self._groups = self._groups, []
        return [ack for group in groups for ack in group]
