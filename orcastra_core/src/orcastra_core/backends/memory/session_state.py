"""What the store keeps of a session."""

from __future__ import annotations

from collections.abc import Sequence

from orcastra_core.backends.memory.entry import Entry
from orcastra_core.backends.memory.waiting import Waiter
from orcastra_core.model.ids import TaskId
from orcastra_core.model.names import SessionId
from orcastra_core.model.session import CancelTask, DueSoon, Fenced, Signal
from orcastra_core.model.settlement import Settled


class SessionState:
    """A session's record, and what it holds.

    It beats without end while its process lives, so only the silence of one
    that was suspended, or whose broker was closed, is measured.
    """

    __slots__ = (
        "__weakref__",
        "answers",
        "cancels",
        "closed",
        "disowned",
        "due_soon",
        "fenced",
        "held",
        "id",
        "last_number",
        "lease",
        "listener",
        "reader",
        "silent_since",
    )

    def __init__(self, session_id: SessionId, lease: float) -> None:
        self.id = session_id
        self.lease = lease
        self.silent_since: float | None = None  # monotonic
        self.fenced = False
        self.closed = False  # left, or its broker closed
        self.held: dict[object, Entry] = {}  # by receipt
        self.disowned: dict[object, None] = {}  # receipts to hand out again
        self.answers: dict[int, Sequence[Settled]] = {}  # of the last few settles, by number
        self.last_number = 0
        self.cancels: dict[TaskId, None] = {}
        self.due_soon = False
        self.reader: Waiter | None = None  # a fetch that waits
        self.listener: Waiter | None = None  # a signals that waits

    def lapsed(self, now: float) -> bool:
        """Whether it has not beaten for a lease."""
        return self.silent_since is not None and now - self.silent_since >= self.lease

    def want_cancel(self, task_id: TaskId) -> None:
        """Have the session told to cancel a task it runs."""
        self.cancels[task_id] = None
        self._tell()

    def want_promote(self) -> None:
        """Have the session told that the next due moment has moved."""
        self.due_soon = True
        self._tell()

    def end(self, *, fenced: bool) -> None:
        """End the session and wake its calls, so that they find out."""
        self.fenced = self.fenced or fenced
        self.closed = self.closed or not fenced
        if self.reader is not None:
            self.reader.wake()
        self._tell()

    def take_signals(self) -> list[Signal]:
        """Return what there is to tell, once."""
        if self.fenced:
            return [Fenced()]
        if not self.due_soon and not self.cancels:
            return []
        signals: list[Signal] = [CancelTask(task_id) for task_id in self.cancels]
        self.cancels.clear()
        if self.due_soon:
            self.due_soon = False
            signals.append(DueSoon())
        return signals

    def _tell(self) -> None:
        if self.listener is not None:
            self.listener.wake()
