"""Cancelling, finding, counting, pausing and purging."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from orcastra_core.model.counts import Counts
from orcastra_core.model.envelope import Envelope, Unreadable
from orcastra_core.model.errors import DeserializationError, InvalidOption, SerializationError
from orcastra_core.model.ids import TaskId
from orcastra_core.model.names import QueueName, SessionId
from orcastra_core.model.queue import QueueDepth, QueueSpec
from orcastra_core.model.task_state import Cancellation, Cancelled, State, TaskState
from orcastra_core.serialization.envelope_codec import decode_envelope
from orcastra_core.serialization.result_codec import encode_result
from orcastra_postgres.core import Core
from orcastra_postgres.settle import keep

_STATES = (State.READY, State.DELAYED, State.DELAYED, State.DEAD, State.FINISHED, State.DELAYED)
_PURGED = ((State.DELAYED, 1), (State.READY, 0), (State.DEAD, 3))
_ANSWERS = {
    "U": Cancelled.UNKNOWN,
    "T": Cancelled.TOO_LATE,
    "S": Cancelled.SIGNALLED,
    "R": Cancelled.REMOVED,
}
_AT_ONCE = 1000


async def declare(core: Core, specs: Sequence[QueueSpec]) -> None:
    """Make queues known."""
    if specs:
        await core.call("declare_queues", core.domain, [spec.name for spec in specs], [spec.max_lost for spec in specs])


async def cancel(core: Core, batch: Sequence[Cancellation]) -> list[Cancelled]:
    """Cancel tasks, and push the results of those that waited."""
    if not batch:
        return []
    try:
        encoded = [encode_result(wish.result) for wish in batch]
    except SerializationError as error:
        raise InvalidOption(str(error)) from error
    kept = [keep(raw, wish.result.ttl, pushed=True) for raw, wish in zip(encoded, batch, strict=True)]
    row = await core.call(
        "cancel",
        core.domain,
        [wish.id for wish in batch],
        [one[0] for one in kept],
        [one[1] for one in kept],
        b"".join(wish.events for wish in batch),
        [len(wish.events) for wish in batch],
    )
    answers = [_ANSWERS[code] for code in row["codes"]]
    for wish, raw, answer, envelope in zip(batch, encoded, answers, row["envelopes"], strict=True):
        if answer is Cancelled.REMOVED:
            reply = _reply(envelope)
            if reply is not None:
                core.push(reply, wish.id, raw)
    if Cancelled.REMOVED in answers:
        core.tell_ready(row["ready"])  # the next of an ordering key
    if Cancelled.SIGNALLED in answers:
        core.tell_wishes()
    return answers


def _reply(raw: bytes) -> str | None:
    try:
        return decode_envelope(raw).reply
    except DeserializationError:
        return None


async def find(core: Core, ids: Sequence[TaskId]) -> list[TaskState | None]:
    """Say where tasks are."""
    if not ids:
        return []
    rows = await core.rows("whereabouts", core.domain, list(dict.fromkeys(ids)))
    found = {str(row["id"]): _state(row) for row in rows}
    return [found.get(task_id) for task_id in ids]


def _state(row: Any) -> TaskState:
    task_id = TaskId(str(row["id"]))
    state = _STATES[row["state"]]
    if state is State.FINISHED:
        return TaskState(id=task_id, state=state)
    envelope: Envelope | Unreadable
    try:
        envelope = decode_envelope(row["envelope"])
    except DeserializationError as error:
        envelope = Unreadable(task_id, QueueName(row["queue"]), row["envelope"], str(error))
    session = row["session"]
    return TaskState(
        id=task_id,
        state=State.RUNNING if session is not None else state,
        envelope=envelope,
        counts=Counts(row["attempt"], row["lost"], row["released"]),
        due=row["due"] if row["state"] == 1 else None,
        session=SessionId(session) if session else None,
    )


async def inspect(core: Core, queues: Sequence[QueueName] | None) -> list[QueueDepth]:
    """Count what is in queues."""
    if queues is not None and not queues:
        return []
    rows = await core.rows("inspect", core.domain, None if queues is None else list(dict.fromkeys(queues)))
    depths = {
        row["name"]: QueueDepth(
            queue=QueueName(row["name"]),
            ready=row["ready"],
            delayed=row["delayed"],
            running=row["running"],
            dead=row["dead"],
            oldest=None if row["oldest"] is None else max(0.0, row["oldest"]),
            paused=row["paused"],
        )
        for row in rows
    }
    return list(depths.values()) if queues is None else [depths.get(name) or QueueDepth(queue=name) for name in queues]


async def set_paused(core: Core, queues: Sequence[QueueName], paused: bool) -> None:
    """Pause queues, or end that and wake whoever waits."""
    if queues:
        await core.call("set_paused", core.domain, list(queues), paused)
        if not paused:
            core.tell_ready(dict.fromkeys(queues))


async def purge(core: Core, queue: QueueName, states: frozenset[State]) -> int:
    """Forget the tasks of a queue that are in one of ``states``."""
    if not states <= {State.READY, State.DELAYED, State.DEAD}:
        raise InvalidOption("only ready, delayed and dead tasks can be purged")
    forgotten = 0
    for state, number in _PURGED:
        while state in states:
            gone = int((await core.call("purge", core.domain, queue, number, _AT_ONCE))[0])
            forgotten += gone
            if gone < _AT_ONCE:
                break
    if forgotten:
        core.tell_ready([queue])
    return forgotten
