"""What there is in a domain, and how it changes: the journal's records, folded.

A change is ``[kind, key, value]``; a record is the list of all changes that one step made:

=========  ==========  ==========================================================
kind       key         value
=========  ==========  ==========================================================
body       task id     the envelope's bytes
task       task id     all else about the task, as ``Task.row`` gives it
end        task id     when it ended for good (Unix seconds)
session    session id  its lease (seconds)
reap       session id  None: the session is over
number     ""          the last number given to a place or receipt
=========  ==========  ==========================================================
"""

from __future__ import annotations

import enum
import heapq
import itertools
from collections.abc import Iterator, Sequence
from typing import Any

import attrs

from orcastra_core.model.counts import FRESH, Counts
from orcastra_core.model.delivery import Receipt
from orcastra_core.model.errors import ContractMismatch
from orcastra_core.model.ids import TaskId
from orcastra_core.model.names import QueueName, SessionId

NOBODY = SessionId("")


class Where(enum.IntEnum):
    """Where a task is. Numbers are kept in the journal."""

    READY = 0
    DELAYED = 1
    RUNNING = 2
    ORPHANED = 3
    """Its session was reaped; a sweep will hand it out again."""
    MOVED = 4
    """A scheduler has it, and will publish it again."""


@attrs.frozen
class Task:
    """A task that has not ended, but for its envelope's bytes.

    Attributes:
        queue: Its queue.
        where: Where it is.
        counts: As of now.
        published: The counts it was published with, once for each time that a scheduler brought it back.
        place: Its place in the queue: smaller is handed out sooner.
        due: The moment it waits for, while DELAYED (Unix seconds).
        session: Who holds it, while RUNNING, or held it, while ORPHANED.
        receipt: What it is held by, while RUNNING.
    """

    queue: QueueName
    where: Where
    counts: Counts = FRESH
    published: tuple[Counts, ...] = (FRESH,)
    place: int = 0
    due: float = 0.0
    session: SessionId = NOBODY
    receipt: int = 0

    def row(self) -> list[Any]:
        """Return it as the journal keeps it."""
        published = [list(attrs.astuple(counts)) for counts in self.published]
        counts = list(attrs.astuple(self.counts))
        return [self.queue, int(self.where), counts, published, self.place, self.due, self.session, self.receipt]

    @classmethod
    def of(cls, row: Sequence[Any]) -> Task:
        """Read what ``row`` returned."""
        queue, where, counts, published, *rest = row
        return cls(queue, Where(where), Counts(*counts), tuple(Counts(*each) for each in published), *rest)


class State:
    """One domain. Only ``apply`` changes it, so that every process gets the same from the same journal."""

    def __init__(self) -> None:
        self.tasks: dict[TaskId, Task] = {}
        self.bodies: dict[TaskId, bytes] = {}
        self.sessions: dict[SessionId, float] = {}
        self.ended: dict[TaskId, float] = {}
        self.held: dict[SessionId, dict[Receipt, TaskId]] = {}
        self.orphans: dict[TaskId, SessionId] = {}
        self.number = 0
        self._ready: dict[QueueName, list[tuple[int, TaskId]]] = {}  # heaps; those that have moved on are passed over
        self._delayed: list[tuple[float, int, TaskId]] = []  # a heap of the same kind
        self._bytes = 0

    def apply(self, change: Sequence[Any]) -> None:
        """Make one change. Raises ContractMismatch for a kind that only a newer version knows."""
        kind, key, value = change
        if kind == "task":
            self._leave(key)
            self._enter(key, Task.of(value))
        elif kind == "body":
            self._bytes += len(value) - len(self.bodies.get(key, b""))
            self.bodies[key] = value
        elif kind == "end":
            self._leave(key)
            self.tasks.pop(key, None)
            self._bytes -= len(self.bodies.pop(key, b""))
            self.ended[key] = value
        elif kind == "session":
            self.sessions[key] = value
            self.held[key] = {}
        elif kind == "reap":
            del self.sessions[key], self.held[key]
        elif kind == "number":
            self.number = value
        else:
            raise ContractMismatch(f"the journal has a change of kind {kind!r}: a newer version wrote it")

    def rows(self) -> Iterator[list[Any]]:
        """Return the changes that lead from nothing to this state."""
        yield from (["session", key, lease] for key, lease in self.sessions.items())
        yield from (["body", key, raw] for key, raw in self.bodies.items())
        yield from (["task", key, task.row()] for key, task in self.tasks.items())
        yield from (["end", key, at] for key, at in self.ended.items())
        yield ["number", "", self.number]

    def forget(self, before: float) -> None:
        """Forget the ids of tasks that ended before a moment. No change: who reads the journal later forgets them, too."""
        for task_id, _ in list(itertools.takewhile(lambda item: item[1] < before, self.ended.items())):
            del self.ended[task_id]

    def weight(self) -> int:
        """Return about how many bytes ``rows`` would take."""
        return self._bytes + 256 * len(self.tasks) + 64 * (len(self.ended) + len(self.sessions))

    def first_ready(self, queue: QueueName) -> TaskId | None:
        """Return the task that is next in a queue."""
        line = self._ready.get(queue, [])
        while line:
            place, task_id = line[0]
            task = self.tasks.get(task_id)
            if task is not None and task.where is Where.READY and task.place == place:
                return task_id
            heapq.heappop(line)
        return None

    def first_delayed(self) -> tuple[float, TaskId] | None:
        """Return the moment when a task is due next, and which it is."""
        while self._delayed:
            due, place, task_id = self._delayed[0]
            task = self.tasks.get(task_id)
            if task is not None and task.where is Where.DELAYED and task.place == place:
                return due, task_id
            heapq.heappop(self._delayed)
        return None

    def _leave(self, task_id: TaskId) -> None:
        task = self.tasks.get(task_id)
        if task is not None and task.where is Where.RUNNING:
            del self.held[task.session][task.receipt]
        elif task is not None and task.where is Where.ORPHANED:
            del self.orphans[task_id]

    def _enter(self, task_id: TaskId, task: Task) -> None:
        self.tasks[task_id] = task
        self.number = max(self.number, task.place, task.receipt)
        if task.where is Where.READY:
            heapq.heappush(self._ready.setdefault(task.queue, []), (task.place, task_id))
        elif task.where is Where.DELAYED:
            heapq.heappush(self._delayed, (task.due, task.place, task_id))
        elif task.where is Where.RUNNING:
            self.held[task.session][task.receipt] = task_id
        elif task.where is Where.ORPHANED:
            self.orphans[task_id] = task.session
