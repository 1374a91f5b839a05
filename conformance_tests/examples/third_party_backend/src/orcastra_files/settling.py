"""Settling: what becomes of deliveries."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeAlias

import attrs

from orcastra_core.model.delivery import Receipt
from orcastra_core.model.errors import BodyTooLarge, InvalidOption
from orcastra_core.model.ids import TaskId
from orcastra_core.model.settlement import DONE, STALE, Complete, Dead, Done, Failed, Moved, Retry, Settled, Settlement
from orcastra_files.intake import Parcel, admit, pack
from orcastra_files.settings import LIMITS
from orcastra_files.state import NOBODY, Where
from orcastra_files.step import Step

Item: TypeAlias = tuple[Settlement, list[Parcel]]
"""A settlement, and what it emits."""


def prepare(batch: Sequence[Settlement]) -> list[Item]:
    """Return settlements ready to be made. In the caller's thread."""
    return [(item, pack(item.emit) if isinstance(item, (Complete, Dead)) else []) for item in batch]


def settle(step: Step, held: Mapping[Receipt, TaskId], batch: Sequence[Item]) -> list[Settled]:
    """Settle what a session holds; an item that is wrong fails alone."""
    return [_settle(step, held, item, emit) for item, emit in batch]


def _settle(step: Step, held: Mapping[Receipt, TaskId], item: Settlement, emit: Sequence[Parcel]) -> Settled:
    task_id = held.get(item.delivery.receipt)
    if task_id is None:
        return STALE
    if isinstance(item, (Complete, Dead)):
        # There is no result store and there are no dead letters here: this is the end of it.
        if item.result.id != task_id:
            return Failed(InvalidOption(f"a result of {item.result.id} cannot end {task_id}"))
        if len(item.result.value) > LIMITS.max_body:
            return Failed(BodyTooLarge(f"the result has {len(item.result.value)} bytes; {LIMITS.max_body} at most"))
        step.end(task_id)
        return Done(admit(step, emit)) if emit else DONE
    task = step.state.tasks[task_id]
    if isinstance(item, Moved):
        step.set(task_id, attrs.evolve(task, where=Where.MOVED, session=NOBODY))
        return DONE
    if not item.after <= LIMITS.max_delay:
        return Failed(InvalidOption(f"{item.after} s is longer than this broker delays"))
    due = step.now + item.after if item.after > 0 else None
    if isinstance(item, Retry):
        step.line_up(task_id, attrs.evolve(task, counts=task.counts.retried()), due)
    elif due is None:
        step.give_back(task_id, task.counts.handed_back())
    else:
        step.line_up(task_id, attrs.evolve(task, counts=task.counts.handed_back()), due)
    return DONE
