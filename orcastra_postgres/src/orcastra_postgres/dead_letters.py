"""The dead letters' edge."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import attrs

from orcastra_core.interfaces.dead_letters import DeadLetterStore
from orcastra_core.model.counts import FRESH, Counts
from orcastra_core.model.dead_letter import DeadLetter
from orcastra_core.model.envelope import Envelope, Unreadable
from orcastra_core.model.errors import DeserializationError, InvalidOption, SerializationError
from orcastra_core.model.ids import TaskId
from orcastra_core.model.names import QueueName
from orcastra_core.model.published import Published, Refused, Stored
from orcastra_core.serialization.cbor_decode import decode
from orcastra_core.serialization.envelope_codec import decode_envelope, encode_envelope
from orcastra_core.serialization.result_codec import read_error, write_error
from orcastra_postgres.core import Core
from orcastra_postgres.publish import Prepared, prepare, published


class PostgresDeadLetters(DeadLetterStore):
    """Dead letters: rows that say why, beside the tasks' own."""

    def __init__(self, core_of: Callable[[], Core]) -> None:
        self._core_of = core_of

    async def put(self, batch: Sequence[DeadLetter], /) -> None:
        core = self._core_of()
        columns: list[list[Any]] = [[] for _ in range(10)]
        for letter in batch:
            envelope = letter.envelope
            try:
                raw = envelope.raw if isinstance(envelope, Unreadable) else encode_envelope(envelope)
                error = write_error(letter.error)
            except SerializationError as failure:
                raise InvalidOption(str(failure)) from failure
            counts = letter.counts
            level = 0 if isinstance(envelope, Unreadable) else -envelope.priority
            reason = letter.reason.encode("utf-8", "backslashreplace")
            row = (
                letter.id,
                letter.queue,
                level,
                raw,
                counts.attempt,
                counts.lost,
                counts.released,
                reason,
                error,
                letter.at,
            )
            for column, value in zip(columns, row, strict=True):
                column.append(value)
        await core.call("put_letters", core.domain, *columns)

    async def page(
        self, *, queue: QueueName | None = None, after: TaskId | None = None, limit: int = 100
    ) -> Sequence[DeadLetter]:
        core = self._core_of()
        return [_letter(row) for row in await core.ask("letters_page", core.domain, queue, after, limit)]

    async def get(self, ids: Sequence[TaskId], /) -> Sequence[DeadLetter | None]:
        core = self._core_of()
        rows = await core.ask("letters", core.domain, list(dict.fromkeys(ids)))
        found = {letter.id: letter for letter in map(_letter, rows)}
        return [found.get(task_id) for task_id in ids]

    async def replay(self, ids: Sequence[TaskId], /, *, events: Sequence[bytes] = ()) -> Sequence[Published | None]:
        core = self._core_of()
        letters = await self.get(ids)
        answers: list[Published | None] = [None] * len(ids)
        chosen: list[tuple[int, DeadLetter]] = []
        emits = Prepared([], [], [])
        taken: set[TaskId] = set()
        for at, letter in enumerate(letters):
            if letter is None or letter.id in taken:
                continue
            taken.add(letter.id)
            if isinstance(letter.envelope, Unreadable):
                answers[at] = Refused("its bytes cannot be read")
                continue
            one = prepare([_afresh(letter.envelope)], core.now())
            if one.answers[0] is not None:
                answers[at] = one.answers[0]
                continue
            chosen.append((at, letter))
            emits.sent += one.sent
            emits.encoded += one.encoded
        if not chosen:
            return answers
        _, _, sent, encoded, dues, keys, modes, windows, okeys, _ = emits.arguments()
        records = [events[at] for at, _ in chosen] if events else []
        sizes = [len(record) for record in records]
        row = await core.call(
            "replay", core.domain, sent, encoded, dues, keys, modes, windows, okeys, b"".join(records), sizes
        )
        ready: dict[str, None] = {}
        for (at, letter), envelope, code in zip(chosen, emits.sent, row["codes"], strict=True):
            answers[at] = None if code is None else published(code, envelope)
            if isinstance(answers[at], Stored):
                ready[letter.queue] = None
        core.tell_ready(ready)
        if row["soon"]:
            core.tell_due()
        return answers

    async def purge(
        self,
        *,
        ids: Sequence[TaskId] | None = None,
        queue: QueueName | None = None,
        older_than: float = 0.0,
        limit: int = 1000,
    ) -> int:
        core = self._core_of()
        row = await core.call(
            "forget_letters", core.domain, None if ids is None else list(ids), queue, float(older_than), limit
        )
        return int(row[0])


def _letter(row: Any) -> DeadLetter:
    task_id, queue, raw, attempt, lost, released, reason, error, at = row
    name, queue_name = TaskId(str(task_id)), QueueName(queue)
    envelope: Envelope | Unreadable
    try:
        envelope = decode_envelope(raw)
    except DeserializationError as failure:
        envelope = Unreadable(name, queue_name, raw, str(failure))
    return DeadLetter(
        id=name,
        queue=queue_name,
        envelope=envelope,
        counts=Counts(attempt, lost, released),
        reason=reason.decode(),
        error=read_error(decode(error)),
        at=at,
    )


def _afresh(envelope: Envelope) -> Envelope:
    return envelope if envelope.counts == FRESH else attrs.evolve(envelope, counts=FRESH)
