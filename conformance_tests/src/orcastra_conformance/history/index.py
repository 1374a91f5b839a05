"""An index of a history: what was sent, settled and held, and when each task ended."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TypeAlias

from orcastra_conformance.history.lives import Hold, Sent, Settling, Span, span
from orcastra_conformance.history.records import (
    Call,
    Cancel,
    Expire,
    HandOut,
    Leave,
    Publish,
    Purge,
    Record,
    Replay,
    Settle,
    Sweep,
)
from orcastra_core.model.delivery import Receipt
from orcastra_core.model.ids import TaskId
from orcastra_core.model.names import QueueName, SessionId
from orcastra_core.model.published import Stored, Unknown
from orcastra_core.model.settlement import STALE, Complete, Dead, Done
from orcastra_core.model.task_state import Cancelled

_Ending: TypeAlias = tuple[Span, list[Call]]
"""When a session was over, and the calls of which one ended it."""


class Lives:
    """An index of a history.

    Attributes:
        sent: Every attempt to have a task stored, in the order of the records.
        settlings: Every settlement, in that order.
        holds: Every hand-over that somebody saw, in that order.
        unseen: Sessions with a fetch that failed, and when the first of those began: it may have got something.
        ends: When tasks were ended for good, as far as it was confirmed.
        perhaps: When tasks may have ended, or have been forgotten, without its being confirmed.
        reborn: When tasks that had ended may have been put back.
        queues: The queue of every task that was sent.
    """

    def __init__(self, records: Iterable[Record]) -> None:
        ordered = sorted(records, key=lambda record: record.begin)
        gone = _ends_of_sessions(ordered)
        self.settlings = list(_settlings([r for r in ordered if isinstance(r, Settle)], gone))
        self.sent = list(_sent(ordered, self.settlings))
        self.queues: dict[TaskId, QueueName] = {one.envelope.id: one.envelope.queue for one in self.sent}
        self.unseen: dict[SessionId, float] = {}
        for record in ordered:
            if isinstance(record, HandOut) and record.failed:
                self.unseen.setdefault(record.session, record.begin)
        self.holds = list(_holds(ordered, self.settlings, gone))
        self.ends: dict[TaskId, list[Span]] = {}
        self.perhaps: dict[TaskId, list[Span]] = {}
        self.reborn: dict[TaskId, list[Span]] = {}
        self._find_ends(ordered)

    def holds_of(self) -> dict[TaskId, list[Hold]]:
        """Return the hand-overs of each task, in their order."""
        grouped: dict[TaskId, list[Hold]] = {}
        for hold in self.holds:
            grouped.setdefault(hold.id, []).append(hold)
        for holds in grouped.values():
            _put_in_order(holds)
        return grouped

    def _find_ends(self, ordered: Sequence[Record]) -> None:
        for one in self.settlings:
            if one.final and one.may_be_done:
                (self.ends if one.done else self.perhaps).setdefault(one.id, []).append(one.at)
        for record in ordered:
            if isinstance(record, Cancel):
                for at, task_id in enumerate(record.ids):
                    answer = record.answer[at] if record.answer is not None else None
                    if answer in (None, Cancelled.REMOVED):
                        (self.ends if answer else self.perhaps).setdefault(task_id, []).append(span(record))
            elif isinstance(record, Purge):
                for task_id, queue in self.queues.items():
                    if queue == record.queue:
                        self.perhaps.setdefault(task_id, []).append(span(record))
                        self.reborn.setdefault(task_id, []).append(span(record))
            elif isinstance(record, Replay):
                for at, task_id in enumerate(record.ids):
                    if record.answer is None or isinstance(record.answer[at], (Stored, Unknown)):
                        self.reborn.setdefault(task_id, []).append(span(record))


def _put_in_order(holds: list[Hold]) -> None:
    """Put hand-overs that overlapped in the order of their counts, which tell how often it went back before."""
    for end in range(len(holds) - 1, 0, -1):
        for at in range(end):
            one, other = holds[at], holds[at + 1]
            if not one.at.before(other.at) and _turns(other) < _turns(one):
                holds[at], holds[at + 1] = other, one


def _turns(hold: Hold) -> tuple[int, int]:
    counts = hold.delivery.counts
    return counts.attempt + counts.released, counts.lost


def _settlings(records: Sequence[Settle], gone: Mapping[SessionId, _Ending]) -> Iterator[Settling]:
    """Join the calls that repeat one number."""
    numbered: dict[tuple[SessionId, int], list[Settle]] = {}
    for record in records:
        numbered.setdefault((record.session, record.number), []).append(record)
    for calls in numbered.values():
        first = next((call for call in calls if call.answer is not None), None)
        over = gone[calls[0].session][0].begin if calls[0].session in gone else math.inf
        for at, item in enumerate(calls[0].batch):
            answered = first.answer[at] if first is not None and first.answer is not None else None
            if answered is STALE and first is not None and first is not calls[0] and over < first.end:
                answered = None  # after a reap that is said of what took effect, too
            when = Span(calls[0].begin, first.end if first is not None and answered is not None else math.inf)
            yield Settling(calls[0].session, item, when, answered, [call.begin for call in calls])


def _sent(ordered: Sequence[Record], settlings: Sequence[Settling]) -> Iterator[Sent]:
    for record in ordered:
        if isinstance(record, Publish):
            for at, envelope in enumerate(record.envelopes):
                yield Sent(envelope, span(record), at, record.answer[at] if record.answer is not None else None)
    for one in settlings:
        emit = one.item.emit if isinstance(one.item, (Complete, Dead)) else ()
        for at, envelope in enumerate(emit):
            if isinstance(one.answer, Done):
                yield Sent(envelope, one.at, at, one.answer.emitted[at])
            elif one.answer is None:
                yield Sent(envelope, one.at, at, None)


def _holds(
    ordered: Sequence[Record], settlings: Sequence[Settling], gone: Mapping[SessionId, _Ending]
) -> Iterator[Hold]:
    asked: dict[tuple[SessionId, Receipt], list[Settling]] = {}
    for one in settlings:
        asked.setdefault((one.session, one.item.delivery.receipt), []).append(one)
    seen: set[tuple[SessionId, Receipt]] = set()
    for record in ordered:
        if not isinstance(record, HandOut):
            continue
        ending = gone.get(record.session)
        when = ending[0] if ending is not None else None
        how = frozenset(type(call).__name__ for call in ending[1]) if ending is not None else frozenset()
        for place, delivery in enumerate(record.answer or ()):
            key = record.session, delivery.receipt
            if key not in seen:  # else it was handed out again because a reply was lost
                seen.add(key)
                wished = [one for one in asked.get(key, ()) if one.id == delivery.envelope.id]
                yield Hold(record.session, delivery, span(record), place, wished, when, how)


def _ends_of_sessions(ordered: Sequence[Record]) -> dict[SessionId, _Ending]:
    """Return when each session was over, and the calls of which one ended it."""
    calls: dict[SessionId, list[Call]] = {}
    for record in ordered:
        if isinstance(record, (Expire, Leave)):
            calls.setdefault(record.session, []).append(record)
        elif isinstance(record, Sweep) and record.answer is not None:
            for session in record.answer.sessions:
                calls.setdefault(session, []).append(record)
    ends: dict[SessionId, _Ending] = {}
    for session, candidates in calls.items():
        over = min(span(call).end for call in candidates)
        ends[session] = Span(candidates[0].begin, over), [call for call in candidates if call.begin < over]
    return ends
