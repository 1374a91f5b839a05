"""One commit at a time for a session, and as few as will do."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import asynccontextmanager

from aiokafka.errors import CommitFailedError, IllegalStateError
from aiokafka.structs import TopicPartition

from orcastra_kafka.classic.member import Member
from orcastra_kafka.classic.part import NOTHING, Change, Part
from orcastra_kafka.classic.private import KafkaError


class Committer:
    """Commits what the parts of ``members`` have to say. Lives in the I/O thread's loop.

    Args:
        members: All that commit by it; may grow.
    """

    def __init__(self, members: Collection[Member]) -> None:
        self._members = members
        self._turn = asyncio.Lock()
        self._asked = 0
        self._covered = 0

    async def flush(self) -> None:
        """Return when all that is dirty now is committed, or is no longer ours to commit. Raises KafkaError.

        While the group shares out anew it waits for that.
        """
        while True:
            seen = {member: member.assignments for member in self._members}
            try:
                await self.flush_once()
                return
            except (CommitFailedError, IllegalStateError):
                behind = [member for member in self._members if member.dirty()]
                for member in behind:
                    await member.agreed_after(seen.get(member, 0))

    async def flush_once(self) -> None:
        """Commit, as the last word before a rebalance: it cannot wait for what comes after. Raises KafkaError."""
        self._asked += 1
        mine = self._asked
        async with self._turn:
            if self._covered >= mine:
                return
            covers = self._asked
            for member in list(self._members):
                if parts := member.dirty():
                    async with said(parts) as words:
                        await member.commit(words)
            self._covered = covers

    @asynccontextmanager
    async def alone(self) -> AsyncIterator[None]:
        """Nothing is committed by others meanwhile."""
        async with self._turn:
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
    try:
        yield words
    except BaseException:
        for part in parts.values():
            part.dirty = True
        raise


__all__ = ["Committer", "KafkaError", "said"]
