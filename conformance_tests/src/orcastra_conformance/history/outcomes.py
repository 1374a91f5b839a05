"""Results: one for each task that ended, the one it was settled with, pushed once and not before."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from orcastra_conformance.history.index import Lives
from orcastra_conformance.history.lives import Settling, span
from orcastra_conformance.history.records import Push, Read, Record
from orcastra_conformance.history.telling import short
from orcastra_core.model.ids import TaskId
from orcastra_core.model.result import Absence, Outcome, Result
from orcastra_core.model.settlement import Complete, Dead


def results(records: Sequence[Record]) -> list[str]:
    """Find ends without a result, results without an end, and results that are not those of the settlement."""
    lives = Lives(records)
    finals: dict[TaskId, list[Settling]] = {}
    for one in lives.settlings:
        if one.final and one.may_be_done:
            finals.setdefault(one.id, []).append(one)
    found: list[str] = []
    for record in records:
        if isinstance(record, Read) and record.answer is not None:
            for task_id, got in zip(record.ids, record.answer, strict=True):
                found += _read(record, task_id, got, lives, finals.get(task_id, ()))
    return found + list(_pushed(records, lives, finals))


def _read(
    record: Read, task_id: TaskId, got: Result | Absence, lives: Lives, finals: Sequence[Settling]
) -> Iterator[str]:
    name, at = short(task_id), span(record)
    ended = [end for end in lives.ends.get(task_id, ()) if end.before(at)]
    if isinstance(got, Result):
        began = [end for end in (*lives.ends.get(task_id, ()), *lives.perhaps.get(task_id, ())) if end.begin < at.end]
        if not began:
            yield f"{name} has a result (record {record.begin}), but it had not ended"
        elif not _settled_with(got, finals):
            yield f"{name} has a result (record {record.begin}) that no settlement of it gave"
    elif ended and task_id not in lives.reborn and got is not Absence.EXPIRED:
        yield f"{name} ended (record {ended[0].begin:g}), but it has no result (record {record.begin})"


def _pushed(records: Sequence[Record], lives: Lives, finals: Mapping[TaskId, Sequence[Settling]]) -> Iterator[str]:
    told: Counter[TaskId] = Counter()
    for record in records:
        for got in (record.answer or ()) if isinstance(record, Push) else ():
            name = short(got.id)
            told[got.id] += 1
            ends = [*lives.ends.get(got.id, ()), *lives.perhaps.get(got.id, ())]
            if not any(end.begin < record.end for end in ends):
                yield f"the result of {name} was pushed (record {record.begin}), but it had not ended"
            elif told[got.id] > len(ends):
                yield f"the result of {name} was pushed more often than it ended (record {record.begin})"
            elif not _settled_with(got, finals.get(got.id, ())):
                yield f"what was pushed of {name} (record {record.begin}) is a result that no settlement of it gave"


def _settled_with(got: Result, finals: Sequence[Settling]) -> bool:
    """Whether a settlement that may have taken effect gave this result; of a cancelled task nobody settled it."""
    if got.outcome is Outcome.CANCELLED and not finals:
        return True
    given = [one.item.result for one in finals if isinstance(one.item, (Complete, Dead))]
    return any((got.outcome, got.value) == (result.outcome, result.value) for result in given)
