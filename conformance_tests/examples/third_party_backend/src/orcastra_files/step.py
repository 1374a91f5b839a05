"""One step of a domain: what an operation does, all of it or nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs

from orcastra_core.model.counts import Counts
from orcastra_core.model.ids import TaskId
from orcastra_core.model.names import SessionId
from orcastra_files.state import NOBODY, State, Task, Where


class Step:
    """Changes the state, and remembers how; the store writes that down as one record.

    Attributes:
        state: The domain, as every step before this one left it.
        now: This step's moment, Unix seconds.
        changes: What to write down.
        afterwards: What to call once it is written.
    """

    def __init__(self, state: State, now: float) -> None:
        self.state = state
        self.now = now
        self.changes: list[list[Any]] = []
        self.afterwards: list[Callable[[], object]] = []

    def put(self, kind: str, key: str, value: Any) -> None:
        """Make a change."""
        change = [kind, key, value]
        self.state.apply(change)
        self.changes.append(change)

    def set(self, task_id: TaskId, task: Task) -> None:
        """Say anew where a task is."""
        self.put("task", task_id, task.row())

    def line_up(self, task_id: TaskId, task: Task, due: float | None) -> None:
        """Have a task wait: behind all that is ready, or until it is due."""
        place = self.state.number + 1
        if due is not None and due > self.now:
            task = attrs.evolve(task, where=Where.DELAYED, place=place, due=due, session=NOBODY)
        else:
            task = attrs.evolve(task, where=Where.READY, place=place, session=NOBODY)
        self.set(task_id, task)

    def give_back(self, task_id: TaskId, counts: Counts) -> None:
        """Put a task back to its old place."""
        task = self.state.tasks[task_id]
        self.set(task_id, attrs.evolve(task, where=Where.READY, counts=counts, session=NOBODY))

    def hand_out(self, task_id: TaskId, session: SessionId) -> int:
        """Give a task to a session; return the receipt."""
        receipt = self.state.number + 1
        task = attrs.evolve(self.state.tasks[task_id], where=Where.RUNNING, session=session, receipt=receipt)
        self.set(task_id, task)
        return receipt

    def end(self, task_id: TaskId) -> None:
        """End a task for good."""
        self.put("end", task_id, self.now)
