"""Deferred envelopes and recurring schedules, with their claims."""

from __future__ import annotations

import heapq

import attrs

from orcastra_core.model.envelope import Envelope
from orcastra_core.model.ids import TaskId
from orcastra_core.model.schedule import Fired, Schedule, ScheduleId


class _Line:
    """A schedule and when to look at it: when it is due, or when its claim ends."""

    __slots__ = ("claimed_until", "schedule", "ticket")

    def __init__(self, schedule: Schedule) -> None:
        self.schedule = schedule
        self.claimed_until = 0.0
        self.ticket = 0


class ScheduleBook:
    """Schedules by id, and a heap of when to look at them. All moments are Unix seconds."""

    def __init__(self) -> None:
        self._lines: dict[ScheduleId, _Line] = {}
        self._heap: list[tuple[float, int, _Line]] = []
        self._tickets = 0

    def __len__(self) -> int:
        return len(self._lines)

    def add(self, schedule: Schedule) -> None:
        """Store a schedule, or replace the one with its id; an unchanged recurring one keeps its due and claim."""
        old = self._lines.get(schedule.id)
        line = self._lines[schedule.id] = _Line(schedule)
        if old is not None:
            if schedule.trigger is not None and _same(old.schedule, schedule):
                line.schedule = attrs.evolve(schedule, due=old.schedule.due)
                line.claimed_until = old.claimed_until
            old.ticket = 0
        self._arm(line)

    def remove(self, schedule_id: ScheduleId) -> bool:
        """Forget a schedule; False if there was none."""
        line = self._lines.pop(schedule_id, None)
        if line is None:
            return False
        line.ticket = 0
        return True

    def get(self, schedule_id: ScheduleId) -> Schedule | None:
        """Return a schedule."""
        line = self._lines.get(schedule_id)
        return None if line is None else line.schedule

    def page(self, after: ScheduleId | None, limit: int) -> list[Schedule]:
        """Return schedules in order of their ids."""
        ids = sorted(self._lines) if after is None else sorted(i for i in self._lines if i > after)
        return [self._lines[schedule_id].schedule for schedule_id in ids[:limit]]

    def claim(self, now: float, limit: int, lease: float) -> list[Schedule]:
        """Return what is due and unclaimed, earliest first, and claim it until ``now`` + ``lease``."""
        taken: list[_Line] = []
        while self._heap and len(taken) < limit and self._heap[0][0] <= now:
            _, ticket, line = heapq.heappop(self._heap)
            if line.ticket == ticket:
                taken.append(line)
        for line in taken:
            line.claimed_until = now + lease
            self._arm(line)
        return sorted((line.schedule for line in taken), key=lambda schedule: schedule.due)

    def settle(self, fired: Fired) -> bool:
        """Move a schedule on, if its due is still the expected one."""
        line = self._lines.get(fired.id)
        if line is None or line.schedule.due != fired.expected_due:
            return False
        if fired.next_due is None:
            return self.remove(fired.id)
        line.schedule = attrs.evolve(line.schedule, due=fired.next_due)
        line.claimed_until = 0.0
        self._arm(line)
        return True

    def next_look(self) -> float | None:
        """Return the moment to look again; None if there is nothing to look at."""
        while self._heap and self._heap[0][2].ticket != self._heap[0][1]:
            heapq.heappop(self._heap)
        return self._heap[0][0] if self._heap else None

    def _arm(self, line: _Line) -> None:
        if line.schedule.paused:
            line.ticket = 0
            return
        self._tickets += 1
        line.ticket = self._tickets
        heapq.heappush(self._heap, (max(line.schedule.due, line.claimed_until), line.ticket, line))


def _same(old: Schedule, new: Schedule) -> bool:
    return old.trigger == new.trigger and _bare(old.envelope) == _bare(new.envelope)


def _bare(envelope: Envelope) -> Envelope:
    """Return the envelope without what differs each time a program makes it."""
    return attrs.evolve(envelope, id=TaskId(""), submitted_at=None, due=None, reply=None, parent=None)
