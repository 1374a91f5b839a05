"""Handing out, handing back, and what ends a session."""

from __future__ import annotations

from collections.abc import Container

import attrs

from orcastra_core.model.delivery import Delivery, Receipt, Want
from orcastra_core.model.envelope import Envelope, Unreadable
from orcastra_core.model.errors import DeserializationError, SessionFenced
from orcastra_core.model.ids import TaskId
from orcastra_core.model.names import SessionId
from orcastra_core.model.session import Lost
from orcastra_core.serialization.envelope_codec import decode_envelope
from orcastra_files.state import State, Where
from orcastra_files.step import Step


def take(step: Step, session: SessionId, want: Want, seen: Container[Receipt]) -> list[Delivery]:
    """Hand out what ``want`` asks for: first what the session holds but has not seen."""
    state = step.state
    held = state.held.get(session)
    if held is None:
        raise SessionFenced(f"session {session} was reaped; open a new one")
    _promote(step)
    room, quota = want.limit, dict(want.queues)
    receipts: list[Receipt] = []
    for receipt, task_id in held.items():
        queue = state.tasks[task_id].queue
        if receipt not in seen and room > 0 and quota.get(queue, 0) > 0:
            receipts.append(receipt)
            room -= 1
            quota[queue] -= 1
    for queue, most in quota.items():
        while most > 0 and room > 0 and (found := state.first_ready(queue)) is not None:
            receipts.append(step.hand_out(found, session))
            room -= 1
            most -= 1
    return [_delivery(state, held[receipt], receipt) for receipt in receipts]


def release_all(step: Step, session: SessionId) -> None:
    """Hand back what a session holds, ``released`` + 1, and end it."""
    for task_id in list(step.state.held.get(session, {}).values()):
        step.give_back(task_id, step.state.tasks[task_id].counts.handed_back())
    if session in step.state.sessions:
        step.put("reap", session, None)


def reap(step: Step, session: SessionId) -> None:
    """End a dead session: nothing under it is heard from now on. Its tasks wait to be handed out again."""
    for task_id in list(step.state.held[session].values()):
        step.set(task_id, attrs.evolve(step.state.tasks[task_id], where=Where.ORPHANED))
    step.put("reap", session, None)


def rehome(step: Step, limit: int, *, only: SessionId | None = None) -> list[Lost]:
    """Put orphans back to their places, ``lost`` + 1, at most ``limit`` of them."""
    lost: list[Lost] = []
    for task_id, session in list(step.state.orphans.items()):
        if len(lost) < limit and only in (None, session):
            task = step.state.tasks[task_id]
            lost.append(Lost(task_id, task.queue, task.counts.bereaved(), session))
            step.give_back(task_id, task.counts.bereaved())
    return lost


def _promote(step: Step) -> None:
    """Make ready what is due, earliest first."""
    while (first := step.state.first_delayed()) is not None and first[0] <= step.now:
        step.line_up(first[1], step.state.tasks[first[1]], None)


def _delivery(state: State, task_id: TaskId, receipt: Receipt) -> Delivery:
    task, raw = state.tasks[task_id], state.bodies[task_id]
    envelope: Envelope | Unreadable
    try:
        envelope = decode_envelope(raw)
    except DeserializationError as error:
        envelope = Unreadable(task_id, task.queue, raw, str(error))
    return Delivery(envelope, receipt, task.counts)
