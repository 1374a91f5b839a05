"""Every id the store knows: tasks alive, results, and ids remembered after that."""

from __future__ import annotations

from collections import deque
from typing import TypeAlias

from orcastra_core.backends.memory.entry import Entry
from orcastra_core.model.ids import TaskId
from orcastra_core.model.result import Absence, Result

Kept: TypeAlias = tuple[Result, float]
"""A result and the moment (monotonic) it is dropped."""


class Faded:
    """What is left of ended tasks whose results are gone: their ids, until they are forgotten together."""

    __slots__ = ("forget_at", "ids")

    def __init__(self, ids: list[TaskId], forget_at: float) -> None:
        self.ids = ids
        self.forget_at = forget_at


class Ledger:
    """Ids from Stored to forgotten.

    An id is known while its task lives, while its result is kept, and
    ``window`` seconds beyond that. Results of one TTL end in the order they came, so
    a deque for each TTL does what a heap would, at the cost of an append.
    """

    __slots__ = ("_fading", "_lives", "_window", "known")

    def __init__(self, window: float) -> None:
        self.known: dict[TaskId, Entry | Kept | Faded] = {}
        self._window = window
        self._lives: dict[float, deque[list[Kept]]] = {}
        self._fading: deque[Faded] = deque()

    def finish(self, results: dict[float, list[Result]], now: float) -> None:
        """Take in the results of tasks that ended at ``now``, by TTL."""
        known = self.known
        for ttl, batch in results.items():
            if ttl <= 0:
                self._fade([result.id for result in batch], now)
                continue
            end = now + ttl
            kept = [(result, end) for result in batch]
            for item in kept:
                known[item[0].id] = item
            self._lives.setdefault(ttl, deque()).append(kept)

    def get(self, task_id: TaskId, now: float) -> Result | Absence:
        """Return a result, or why there is none."""
        found = self.known.get(task_id)
        if type(found) is tuple:
            return found[0] if found[1] > now else Absence.EXPIRED
        if found is None:
            return Absence.UNKNOWN
        return Absence.EXPIRED if isinstance(found, Faded) else Absence.PENDING

    def retire(self, now: float, limit: int) -> int:
        """Drop results past their TTL, at most ``limit``, and forget ids; return how many results went."""
        known, dropped = self.known, 0
        for ttl in list(self._lives):
            line = self._lives[ttl]
            while line and dropped < limit and line[0][0][1] <= now:
                chunk = line[0][: limit - dropped]
                del line[0][: len(chunk)]
                if not line[0]:
                    line.popleft()
                dropped += len(chunk)
                # a replayed task has put something else in its place
                self._fade([kept[0].id for kept in chunk if known.get(kept[0].id) is kept], now)
            if not line:
                del self._lives[ttl]
        while self._fading and self._fading[0].forget_at <= now:
            faded = self._fading.popleft()
            for task_id in faded.ids:
                if known.get(task_id) is faded:
                    del known[task_id]
        return dropped

    def retire_some(self, now: float) -> None:
        """Do a little of ``retire`` in passing, so that a store nobody prunes stays bounded."""
        for line in self._lives.values():
            if line[0][0][1] <= now:
                self.retire(now, 2000)
                return
        if self._fading and self._fading[0].forget_at <= now:
            self.retire(now, 0)

    def _fade(self, ids: list[TaskId], now: float) -> None:
        faded = Faded(ids, now + self._window)
        self._fading.append(faded)
        for task_id in ids:
            self.known[task_id] = faded
