"""Cancelling, finding, counting, pausing and purging."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from orcastra_core.model.envelope import Envelope, Unreadable
from orcastra_core.model.errors import DeserializationError, InvalidOption, SerializationError
from orcastra_core.model.ids import TaskId
from orcastra_core.model.names import QueueName, SessionId
from orcastra_core.model.queue import QueueDepth, QueueSpec
from orcastra_core.model.task_state import Cancellation, Cancelled, State, TaskState
from orcastra_core.serialization.envelope_codec import decode_envelope
from orcastra_core.serialization.result_codec import encode_result
from orcastra_redis.core import Core
from orcastra_redis.dead_letters import forget
from orcastra_redis.publish import read_counts

_STATES = {
    b"A": State.READY,
    b"H": State.RUNNING,
    b"D": State.DELAYED,
    b"L": State.DELAYED,
    b"M": State.DELAYED,
    b"X": State.DEAD,
}
_ANSWERS = {
    b"U": Cancelled.UNKNOWN,
    b"T": Cancelled.TOO_LATE,
    b"S": Cancelled.SIGNALLED,
    b"R": Cancelled.REMOVED,
}
_AT_ONCE = 1000


async def declare(core: Core, specs: Sequence[QueueSpec]) -> None:
    """Make queues known."""
    if specs:
        await core.link.run("declare", *(spec.name for spec in specs))


async def cancel(core: Core, batch: Sequence[Cancellation]) -> list[Cancelled]:
    """Cancel tasks; those that waited end with their results stored and pushed, each in one step."""
    args: list[Any] = []
    try:
        for wish in batch:
            ttl = max(0, round(wish.result.ttl * 1000))
            args += (wish.id, ttl, encode_result(wish.result), wish.events)
    except SerializationError as error:
        raise InvalidOption(str(error)) from error
    if not args:
        return []
    return [_ANSWERS[code] for code in await core.link.run("cancel", core.settings.events_max, *args)]


async def find(core: Core, ids: Sequence[TaskId]) -> list[TaskState | None]:
    """Say where tasks are."""
    said = await core.link.run("find", *ids) if ids else []
    return [_state(task_id, one) for task_id, one in zip(ids, said, strict=True)]


def _state(task_id: TaskId, said: Any) -> TaskState | None:
    if not said:
        return None
    if said[0] == b"F":
        return TaskState(id=task_id, state=State.FINISHED)
    state, queue, value, counts, due, session = said
    envelope: Envelope | Unreadable
    try:
        envelope = decode_envelope(value[36:])
    except DeserializationError as error:
        envelope = Unreadable(task_id, QueueName(queue.decode()), value[36:], str(error))
    return TaskState(
        id=task_id,
        state=_STATES[state],
        envelope=envelope,
        counts=read_counts(counts),
        due=float(due) if due else None,
        session=SessionId(session.decode()) if session else None,
    )


async def inspect(core: Core, queues: Sequence[QueueName] | None) -> list[QueueDepth]:
    """Count what is in queues."""
    if queues is not None and not queues:
        return []
    return [
        QueueDepth(
            queue=QueueName(name.decode()),
            ready=ready,
            delayed=delayed,
            running=running,
            dead=dead,
            oldest=None if oldest < 0 else oldest / 1000,
            paused=bool(paused),
        )
        for name, ready, delayed, running, dead, oldest, paused in await core.link.run("inspect", *(queues or ()))
    ]


async def pause(core: Core, queues: Sequence[QueueName]) -> None:
    """Hand out nothing more from queues."""
    if queues:
        await declare(core, [QueueSpec(name) for name in queues])
        await core.link.call("SADD", f"{core.link.prefix}paused", *queues, lasting=True)


async def resume(core: Core, queues: Sequence[QueueName]) -> None:
    """End a pause, and wake whoever waits."""
    if queues:
        await core.link.run("resume", *queues)


async def purge(core: Core, queue: QueueName, states: frozenset[State]) -> int:
    """Forget the tasks of a queue that are in one of ``states``."""
    if not states <= {State.READY, State.DELAYED, State.DEAD}:
        raise InvalidOption("only ready, delayed and dead tasks can be purged")
    forgotten = 0
    for state, name in ((State.DELAYED, "delayed"), (State.READY, "ready")):
        until, more = b"", state in states
        while more:
            number, until, more = await core.link.run("purge", queue, name, _AT_ONCE, until)
            forgotten += int(number)
    if State.DEAD in states:
        forgotten += await forget(core, None, queue, 0.0, float("inf"), tasks=True)
    return forgotten
