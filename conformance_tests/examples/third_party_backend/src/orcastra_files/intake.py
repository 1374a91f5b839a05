"""Publishing: from a client's batch, or from what a settlement emits."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

from orcastra_core.model.envelope import Envelope
from orcastra_core.model.errors import BrokerError, SerializationError
from orcastra_core.model.published import STORED, Duplicate, Published, Refused, Unknown
from orcastra_core.serialization.envelope_codec import encode_envelope
from orcastra_files.settings import LIMITS
from orcastra_files.state import Task, Where
from orcastra_files.step import Step

Parcel: TypeAlias = tuple[Envelope, bytes | Refused]
"""An envelope with its bytes, or with the reason why it can never be stored."""


def pack(batch: Sequence[Envelope]) -> list[Parcel]:
    """Return envelopes ready to be stored. In the caller's thread: what it hands over stays its own."""
    return [(envelope, _refused(envelope) or _encoded(envelope)) for envelope in batch]


def admit(step: Step, batch: Sequence[Parcel]) -> list[Published]:
    """Store envelopes, each on its own."""
    return [_admit(step, envelope, raw) for envelope, raw in batch]


def _admit(step: Step, envelope: Envelope, raw: bytes | Refused) -> Published:
    state, task_id = step.state, envelope.id
    task = state.tasks.get(task_id)
    if task_id in state.ended or (task is not None and envelope.counts in task.published):
        return Duplicate(task_id)
    if task is not None and task.where is not Where.MOVED:
        return Unknown(
            BrokerError(f"{task_id} is still here, with other counts: its Moved is on the way", retryable=True)
        )
    if isinstance(raw, Refused):
        return raw
    if envelope.due is not None and not envelope.due - step.now <= LIMITS.max_delay:
        return Refused(f"due is more than {LIMITS.max_delay:g} s away")
    published = (*(task.published if task is not None else ()), envelope.counts)
    step.put("body", task_id, raw)
    step.line_up(task_id, Task(envelope.queue, Where.READY, envelope.counts, published), envelope.due)
    return STORED


def _refused(envelope: Envelope) -> Refused | None:
    """What this broker does not claim it refuses; nothing is silently left out."""
    lowest, highest = LIMITS.priorities
    if len(envelope.body) > LIMITS.max_body:
        return Refused(f"the body has {len(envelope.body)} bytes; at most {LIMITS.max_body} are taken")
    if not lowest <= envelope.priority <= highest:
        return Refused(f"priority {envelope.priority} is not in {lowest} to {highest}: files:// has no PRIORITY")
    if envelope.dedup is not None:
        return Refused("files:// has no DEDUP: it knows no dedup keys")
    if envelope.order_by is not None:
        return Refused("files:// has no ORDERED_KEY: it knows no ordering keys")
    return None


def _encoded(envelope: Envelope) -> bytes | Refused:
    try:
        return encode_envelope(envelope)
    except SerializationError as error:
        return Refused(str(error))
