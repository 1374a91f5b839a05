"""Publishing: which statement it takes, and who is told."""

from __future__ import annotations

from collections.abc import Sequence

from orcastra_core.model.ids import TaskId
from orcastra_core.model.published import STORED, Duplicate, Published
from orcastra_postgres.core import Core
from orcastra_postgres.publish import Prepared, pack_events
from orcastra_postgres.statements import query


async def publish(core: Core, prepared: Prepared, events: Sequence[bytes]) -> list[Published]:
    """Store envelopes, and wake whoever waits for them. Raises BrokerError."""
    if len(prepared.answers) == 1 and not prepared.rich and not prepared.due:
        (lane,) = prepared.lanes
        number = core.lanes.get(lane)
        if number is not None:
            answer = await _publish_single(core, prepared, number, events)
            if answer is not None:
                return [answer]
            core.lanes.clear()  # somebody has emptied the store meanwhile
    records, sizes = pack_events(events, prepared.answers)
    if prepared.rich:
        row = await core.call("publish", core.domain, *prepared.arguments(), records, sizes)
        answers = prepared.read(row["codes"])
    else:
        row = await core.call("publish_plain", core.domain, *prepared.plain_arguments(), records, sizes)
        answers = prepared.read_plain(row["stored"])
        core.lanes.update(zip(prepared.lanes, row["lanes"], strict=True))
    stored: dict[str, None] = {}
    sent = iter(prepared.sent)
    for before, answer in zip(prepared.answers, answers, strict=True):
        if before is None:
            envelope = next(sent)
            if answer is STORED:
                stored[envelope.queue] = None
    core.tell_ready(stored, elsewhere=row["awaited"])
    if row["soon"]:
        core.tell_due()
    return answers


async def _publish_single(core: Core, prepared: Prepared, lane: int, events: Sequence[bytes]) -> Published | None:
    envelope = prepared.sent[0]
    task_id, raw, record = envelope.id, prepared.encoded[0], events[0] if events else None
    statement = query("publish_single", core.settings.schema)
    stored, awaited, known = await core.pool.run(
        lambda conn: conn.fetchrow(statement, core.domain, task_id, lane, raw, record or None)
    )
    if not stored:
        return Duplicate(TaskId(task_id)) if known else None
    core.tell_ready([envelope.queue], elsewhere=awaited)
    return STORED
