"""Where results lie in one partition of their log, as far as it was read."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Collection

from orcastra_kafka import logs
from orcastra_kafka.core import Core
from orcastra_kafka.protocol.log import EARLIEST, Page
from orcastra_kafka.share.metadata import TopicFacts
from orcastra_kafka.share.pauses import pause

KEPT = 100_000
"""Tasks whose results' places are kept, the newest."""
_PAGE = 1 << 20
"""Bytes read at a time: its records hold up the event loop for some milliseconds."""
_LONGEST_TRANSACTION = 1.0
"""Seconds that a look-up waits for one: confirmed is it before its records can be read."""
_PAUSE = 0.005


class ResultIndex:
    """Reads on from where the last look-up ended, so that those who ask again and again read each record once.

    It begins at the time of the first task that is asked for. What is older than its beginning is read anew with each
    look-up, from the task's own time to that beginning.

    Args:
        core: Where.
        topic: The log, which stays the same one.
        partition: Of it.
    """

    def __init__(self, core: Core, topic: TopicFacts, partition: int) -> None:
        self._core = core
        self._topic = topic
        self._partition = partition
        self._places: dict[bytes, list[int]] = {}
        self._marks: deque[tuple[int, int]] = deque()  # offset and Unix milliseconds: the first is the beginning
        self._behind = 0
        self._reading = asyncio.Lock()

    async def entries(self, keys: Collection[bytes], since: int) -> list[logs.Entry]:
        """Return all records with these keys that are not older than ``since``, Unix milliseconds, in their order.

        Raises KafkaError, OSError or TimeoutError.
        """
        async with self._reading:
            found: dict[int, logs.Entry] = {}
            if not self._marks:
                self._behind = await self._offset_at(since)
                self._marks.append((self._behind, since))
            elif since < self._marks[0][1]:
                await self._search(await self._offset_at(since), keys, found)
            await self._read_on(keys, found)
            for offset in sorted(place for key in keys for place in self._places.get(key, ())):
                if offset not in found:
                    await self._fetch(offset, keys, found)
            return [found[offset] for offset in sorted(found)]

    async def _search(self, begin: int, keys: Collection[bytes], found: dict[int, logs.Entry]) -> None:
        """Read what lies before the index."""
        at = begin
        while at < self._marks[0][0]:
            page = await self._page(at)
            if page is None:
                at = max(at + 1, await self._offset_at(EARLIEST))
                continue
            _pick(logs.entries_of(page, at), keys, found)
            behind = logs.next_offset(page, at)
            if behind <= at:
                return
            at = behind

    async def _read_on(self, keys: Collection[bytes], found: dict[int, logs.Entry]) -> None:
        """Read up to the end of now, of a transaction too that is about to be over."""
        goal: int | None = None
        until = self._core.loop.time() + _LONGEST_TRANSACTION
        while True:
            page = await self._page(self._behind)
            if page is None:  # what was not read yet has outlived its time
                self._behind = await self._offset_at(EARLIEST)
                continue
            goal = page.high if goal is None else goal
            entries = logs.entries_of(page, self._behind)
            for entry in entries:
                if entry.key is not None:
                    self._places.setdefault(entry.key, []).append(entry.offset)
            _pick(entries, keys, found)
            behind = logs.next_offset(page, self._behind)
            if behind <= self._behind:
                if behind >= goal or self._core.loop.time() >= until:
                    return
                await pause(_PAUSE)
                continue
            if entries and self._behind > self._marks[-1][0]:
                self._marks.append((self._behind, entries[0].timestamp))
            self._behind = behind
            while len(self._places) > KEPT and len(self._marks) > 1:
                self._forget()

    def _forget(self) -> None:
        """Let the oldest page go."""
        self._marks.popleft()
        first, _ = self._marks[0]
        for key in list(self._places):
            offsets = self._places[key]
            if offsets[0] >= first:
                break  # they are in the order of their first
            kept = [offset for offset in offsets if offset >= first]
            if kept:
                self._places[key] = kept
            else:
                del self._places[key]

    async def _fetch(self, offset: int, keys: Collection[bytes], found: dict[int, logs.Entry]) -> None:
        page = await self._page(offset, most=1)
        if page is not None:
            _pick(logs.entries_of(page, offset), keys, found)

    async def _page(self, at: int, most: int = 0) -> Page | None:
        return await logs.page(self._core, self._topic, self._partition, at, most=most or _PAGE)

    async def _offset_at(self, time: int) -> int:
        return await logs.offset_at(self._core, self._topic, self._partition, time)


def _pick(entries: list[logs.Entry], keys: Collection[bytes], found: dict[int, logs.Entry]) -> None:
    found.update((entry.offset, entry) for entry in entries if entry.key in keys)
