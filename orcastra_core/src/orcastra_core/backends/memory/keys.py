"""Dedup keys and ordering keys."""

from __future__ import annotations

import heapq
from collections import deque
from typing import TYPE_CHECKING

from orcastra_core.backends.memory.entry import BLOCKED, GONE, Entry, Queue
from orcastra_core.model.dead_letter import DeadLetter
from orcastra_core.model.envelope import Dedup, DedupMode, Envelope
from orcastra_core.model.ids import TaskId

if TYPE_CHECKING:
    from orcastra_core.backends.memory.store import Store


class Hold:
    """A dedup key and the task that has it."""

    __slots__ = ("dedup", "id", "queue", "until")

    def __init__(self, task_id: TaskId, queue: Queue, dedup: Dedup, until: float | None) -> None:
        self.id = task_id
        self.queue = queue
        self.dedup = dedup
        self.until = until  # monotonic; None: until freed

    def free(self) -> None:
        """Let the key go, if it is still this hold's."""
        if self.queue.holds.get(self.dedup.key) is self:
            del self.queue.holds[self.dedup.key]


class Windows:
    """Holds that end by time, so that keys used once do not pile up."""

    __slots__ = ("_heap", "_serial")

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, Hold]] = []
        self._serial = 0

    def add(self, hold: Hold, until: float) -> None:
        """Have ``hold`` freed at ``until``."""
        self._serial += 1
        heapq.heappush(self._heap, (until, self._serial, hold))

    def free_ended(self, now: float) -> None:
        """Free the holds whose window is over."""
        while self._heap and self._heap[0][0] <= now:
            heapq.heappop(self._heap)[2].free()


def take_key(store: Store, queue: Queue, task_id: TaskId, dedup: Dedup, now: float) -> Hold | TaskId:
    """Take a dedup key for a task at the monotonic moment ``now``, or return the id of its holder.

    A key is open to the task that holds it already: its window does not start anew.
    """
    store.windows.free_ended(now)
    holder = queue.holds.get(dedup.key)
    if holder is not None:
        return holder if holder.id == task_id else holder.id
    until = now + (dedup.window or 0.0) if dedup.mode is DedupMode.WINDOW else None
    hold = queue.holds[dedup.key] = Hold(task_id, queue, dedup, until)
    if until is not None:
        store.windows.add(hold, until)
    return hold


def free_key(queue: Queue, letter: DeadLetter) -> None:
    """Free the dedup key that a dead letter still holds, for a window of time."""
    dedup = letter.envelope.dedup if isinstance(letter.envelope, Envelope) else None
    hold = queue.holds.get(dedup.key) if dedup is not None else None
    if hold is not None and hold.id == letter.id:
        hold.free()


def line_up(entry: Entry, order_by: str) -> bool:
    """Put an entry behind those with its ordering key; True if it is the first and may run."""
    line = entry.queue.lines.get(order_by)
    if line is None:
        entry.queue.lines[order_by] = deque((entry,))
        return True
    if line[0].id == entry.id:  # it is back from a scheduler
        line[0] = entry
        return True
    line.append(entry)
    return False


def started(store: Store, entry: Entry) -> None:
    """Note a hand-over of an entry that has something special."""
    special = entry.special
    assert special is not None
    if special.hold is not None and special.hold.dedup.mode is DedupMode.UNTIL_START:
        special.hold.free()
        special.hold = None
    if special.cancel:
        entry.session.want_cancel(entry.id)


def ended(store: Store, entry: Entry, *, forget: bool = False) -> None:
    """Free what an entry's keys kept back; it has just ended for good, or was removed.

    Args:
        store: The store.
        entry: Its state is no longer that of one who waits.
        forget: Free even a key that is held for a window of time.
    """
    special = entry.special
    assert special is not None
    if special.hold is not None and (forget or special.hold.until is None):
        special.hold.free()
    if special.order_by is None:
        return
    lines = entry.queue.lines
    line = lines.get(special.order_by)
    if line is None or line[0] is not entry:
        return  # it waited in the middle: passed over when its turn comes, or just now
    line.popleft()
    while line and line[0].state == GONE:
        line.popleft()
    if not line:
        del lines[special.order_by]
    elif line[0].state == BLOCKED:
        entry.queue.delayed -= 1
        store.place(line[0], line[0].due)
