"""The total queue: what goes in comes out, once, and nothing else does."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import attrs

from orcastra_conformance.history.index import Lives
from orcastra_conformance.history.lives import Sent
from orcastra_conformance.history.records import Record
from orcastra_conformance.history.telling import short
from orcastra_core.model.ids import TaskId
from orcastra_core.model.published import Stored


@attrs.frozen
class Total:
    """What became of the tasks of a history that was drained in the end.

    Attributes:
        stored: Confirmed.
        lost: Confirmed, but they never ended, and nothing is known that may have ended them.
        unexpected: Handed out, though nobody sent them or they were refused.
        duplicated: Ended for good more than once.
        recovered: Handed out, though nobody knew whether they were stored: nothing wrong.
    """

    stored: frozenset[TaskId]
    lost: tuple[TaskId, ...]
    unexpected: tuple[TaskId, ...]
    duplicated: tuple[TaskId, ...]
    recovered: frozenset[TaskId]


def total(records: Sequence[Record], *, left: Collection[TaskId] = ()) -> Total:
    """Sort the tasks of a history.

    Args:
        records: A history at whose end everything was handed out and settled.
        left: Tasks that are known to be waiting still.
    """
    lives = Lives(records)
    attempts: dict[TaskId, list[Sent]] = {}
    for one in lives.sent:
        attempts.setdefault(one.envelope.id, []).append(one)
    stored = {task_id for task_id, sent in attempts.items() if any(one.stored for one in sent)}
    perhaps = {task_id for task_id, sent in attempts.items() if any(one.may_be_stored for one in sent)}
    handed = lives.holds_of()
    unexpected = [
        task_id
        for task_id, holds in handed.items()
        if task_id not in perhaps or not any(one.at.begin < holds[0].at.end for one in attempts[task_id])
    ]
    over = {*lives.ends, *lives.perhaps, *left}
    return Total(
        stored=frozenset(stored),
        lost=tuple(sorted(stored - over)),
        unexpected=tuple(sorted(unexpected)),
        duplicated=tuple(sorted(task_id for task_id, ends in lives.ends.items() if _too_often(lives, task_id, ends))),
        recovered=frozenset(handed) - stored - set(unexpected),
    )


def total_queue(records: Sequence[Record], *, left: Collection[TaskId] = ()) -> list[str]:
    """Find what was lost, what was never sent, and what ended twice, in a history that was drained in the end."""
    lives, sums = Lives(records), total(records, left=left)
    confirmed = {one.envelope.id: one.at.begin for one in lives.sent if one.stored}
    handed = {task_id: holds[0].at.begin for task_id, holds in lives.holds_of().items()}
    lost = [f"{short(i)} was Stored (record {confirmed[i]:g}), but it is lost: it never ended" for i in sums.lost]
    made_up = [
        f"{short(i)} was handed out (record {handed[i]:g}), but nobody had it stored before" for i in sums.unexpected
    ]
    twice = [
        f"{short(i)} ended more than once (records {', '.join(f'{end.begin:g}' for end in lives.ends[i])})"
        for i in sums.duplicated
    ]
    return lost + made_up + twice


def _too_often(lives: Lives, task_id: TaskId, ends: Sequence[object]) -> bool:
    """Whether it ended more often than it was sent into the world, by a publish or a replay."""
    again = [one for one in lives.sent if one.envelope.id == task_id and isinstance(one.answer, Stored)]
    return len(ends) > max(1, len(again)) + len(lives.reborn.get(task_id, ()))
