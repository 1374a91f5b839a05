"""One commit at a time for a member, and as few as will do."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Protocol

from aiokafka.errors import CommitFailedError, IllegalStateError
from aiokafka.structs import TopicPartition

from orcastra_kafka.classic.part import NOTHING, Change, Part


class Committing(Protocol):
    """Whose commits they are: a member of a group."""

    @property
    def assignments(self) -> int:
        """How often the group has shared out."""

    @property
    def joining(self) -> bool:
        """Whether it is about to share out anew: what is committed meanwhile would be taken for another generation's."""

    def dirty(self) -> Mapping[TopicPartition, Part]:
        """Return what there is to commit."""

    async def commit(self, said: Mapping[TopicPartition, tuple[int, str]]) -> None:
        """Tell the group. Raises KafkaError: CommitFailedError while it shares out anew."""

    async def agreed_after(self, assignments: int) -> None:
        """Return when the group has shared out more often than this."""


class Committer:
    """Commits what the parts of a member have to say. Lives in the I/O thread's loop."""

    def __init__(self, member: Committing) -> None:
        self._member = member
        self._turn = asyncio.Lock()
        self._asked = 0
        self._covered = 0

    async def flush(self) -> None:
        """Return when all that is dirty now is committed, or is no longer ours to commit. Raises KafkaError.

        While the group shares out anew it waits for that.
        """
        while True:
            seen = self._member.assignments
            try:
                await self.flush_once()
                return
            except (CommitFailedError, IllegalStateError):
                if self._member.dirty():
                    await self._member.agreed_after(seen)

    async def flush_once(self) -> None:
        """Commit, as the last word before a rebalance: it cannot wait for what comes after. Raises KafkaError."""
        self._asked += 1
        mine = self._asked
        async with self._turn:
            if self._covered >= mine:
                return
            covers = self._asked
            if parts := self._member.dirty():
                if self._member.joining:
                    raise CommitFailedError("the group shares out anew")
                async with said(parts) as words:
                    await self._member.commit(words)
            self._covered = covers

    @asynccontextmanager
    async def alone(self) -> AsyncIterator[None]:
        """Nothing is committed by others meanwhile. Raises CommitFailedError while the group shares out anew."""
        async with self._turn:
            if self._member.joining:
                raise CommitFailedError("the group shares out anew")
            yield


@asynccontextmanager
async def said(
    parts: Mapping[TopicPartition, Part], changes: Mapping[TopicPartition, Mapping[int, Change]] | None = None
) -> AsyncIterator[Mapping[TopicPartition, tuple[int, str]]]:
    """Give what to commit for these parts, and note what became of it.

    Args:
        parts: Of one group.
        changes: What takes place once this took effect.
    """
    words = {place: part.commit((changes or {}).get(place, NOTHING)) for place, part in parts.items()}
    until = {part: part.changed for part in parts.values()}
    try:
        yield words
        for part, changed in until.items():
            part.told = max(part.told, changed)
    except BaseException:
        for part in parts.values():
            part.dirty = True
        raise
