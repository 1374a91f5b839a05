"""Dead letters: a hash each, and their ids in order."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import attrs

from orcastra_core.interfaces.dead_letters import DeadLetterStore
from orcastra_core.model.counts import FRESH
from orcastra_core.model.dead_letter import DEAD_LETTER_TTL, DeadLetter
from orcastra_core.model.envelope import Envelope, Unreadable
from orcastra_core.model.errors import DeserializationError, InvalidOption, SerializationError
from orcastra_core.model.ids import TaskId
from orcastra_core.model.names import QueueName
from orcastra_core.model.published import Published, Refused
from orcastra_core.serialization.cbor_decode import decode
from orcastra_core.serialization.envelope_codec import decode_envelope, encode_envelope
from orcastra_core.serialization.result_codec import read_error, write_error
from orcastra_redis.core import Core
from orcastra_redis.publish import counts_text, published, read_counts, rich_arguments

_PAGE = 500


class RedisDeadLetters(DeadLetterStore):
    """Dead letters of the domain; the server drops them after 30 days."""

    def __init__(self, core_of: Callable[[], Core]) -> None:
        self._core_of = core_of

    async def put(self, batch: Sequence[DeadLetter], /) -> None:
        args: list[Any] = []
        for letter in batch:
            try:
                raw = (
                    letter.envelope.raw if isinstance(letter.envelope, Unreadable) else encode_envelope(letter.envelope)
                )
            except SerializationError as error:
                raise InvalidOption(str(error)) from error
            args += (
                letter.id, letter.queue, letter.id.encode() + raw, counts_text(letter.counts), letter.reason,
                write_error(letter.error), repr(letter.at),
            )  # fmt: skip
        await self._core_of().link.run("bury", *args)

    async def page(
        self, *, queue: QueueName | None = None, after: TaskId | None = None, limit: int = 100
    ) -> Sequence[DeadLetter]:
        said = await self._core_of().link.run("dead_letters", "page", queue or "", after or "", limit)
        return [letter for one in said if (letter := _letter(one)) is not None]

    async def get(self, ids: Sequence[TaskId], /) -> Sequence[DeadLetter | None]:
        return [_letter(one) for one in await self._core_of().link.run("dead_letters", "get", *ids)]

    async def replay(self, ids: Sequence[TaskId], /, *, events: Sequence[bytes] = ()) -> Sequence[Published | None]:
        core = self._core_of()
        answers: list[Published | None] = []
        args: list[Any] = []
        sent: list[int] = []
        for at, letter in enumerate(await self.get(ids)):
            answers.append(None)
            if letter is None:
                continue
            if isinstance(letter.envelope, Unreadable):
                answers[at] = Refused("its bytes cannot be read")
                continue
            prepared = rich_arguments(_afresh(letter.envelope), core.now())
            if isinstance(prepared, Refused):
                answers[at] = prepared
                continue
            task_id, level, _, value, opts = prepared
            args += (task_id, level, letter.queue, value, opts, events[at] if events else b"")
            sent.append(at)
        if sent:
            said = await core.link.run("replay", core.settings.events_max, *args)
            for at, code in zip(sent, said, strict=True):
                answers[at] = published(code, ids[at]) if code else None
        return answers

    async def purge(
        self,
        *,
        ids: Sequence[TaskId] | None = None,
        queue: QueueName | None = None,
        older_than: float = 0.0,
        limit: int = 1000,
    ) -> int:
        return await forget(self._core_of(), ids, queue, older_than, limit)


async def forget(
    core: Core,
    ids: Sequence[TaskId] | None,
    queue: QueueName | None,
    older_than: float,
    limit: float,
    *,
    tasks: bool = False,
) -> int:
    """Forget dead letters, and with ``tasks`` their ids and results as well; return how many."""
    if ids is None and older_than >= DEAD_LETTER_TTL:
        return 0  # the server itself drops those; not to walk past all the others each time
    link = core.link
    forgotten, after = 0, ""
    named = None if ids is None else list(dict.fromkeys(ids))
    while forgotten < limit:
        if named is not None:
            page, named = named[: int(min(_PAGE, limit - forgotten))], named[int(min(_PAGE, limit - forgotten)) :]
        else:
            found = await link.run("dead_letters", "ids", queue or "", after, int(min(_PAGE, limit - forgotten)))
            page = [one.decode() for one in found]
        if not page:
            break
        after = page[-1]
        forgotten += int(await link.run("forget_letters", repr(older_than), queue or "", int(tasks), *page))
    return forgotten


def _letter(said: Any) -> DeadLetter | None:
    if not said:
        return None
    name, queue, value, counts, reason, error, at = said
    task_id, queue_name = TaskId(name.decode()), QueueName(queue.decode())
    envelope: Envelope | Unreadable
    try:
        envelope = decode_envelope(value[36:])
    except DeserializationError as failure:
        envelope = Unreadable(task_id, queue_name, value[36:], str(failure))
    return DeadLetter(
        id=task_id,
        queue=queue_name,
        envelope=envelope,
        counts=read_counts(counts),
        reason=reason.decode(),
        error=read_error(decode(error)),
        at=float(at),
    )


def _afresh(envelope: Envelope) -> Envelope:
    return envelope if envelope.counts == FRESH else attrs.evolve(envelope, counts=FRESH)
