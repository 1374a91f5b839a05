"""The dead letters' edge."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import TypeVar
from zlib import crc32

import attrs

from orcastra_core.interfaces.dead_letters import DeadLetterStore
from orcastra_core.model.counts import FRESH
from orcastra_core.model.dead_letter import DeadLetter
from orcastra_core.model.envelope import Envelope
from orcastra_core.model.errors import BrokerError, InvalidOption, SerializationError
from orcastra_core.model.ids import TaskId, bytes_of
from orcastra_core.model.names import QueueName
from orcastra_core.model.published import STORED, Published, Refused, Unknown
from orcastra_kafka import logs
from orcastra_kafka.core import Core
from orcastra_kafka.dead.letters import died_at, letter_of, queue_of, record_of_letter
from orcastra_kafka.dead.removal import Removals
from orcastra_kafka.dead.scan import ROOM, Scan, letters, read_on
from orcastra_kafka.errors import CLIENT_ERRORS, translate
from orcastra_kafka.logs import Entry
from orcastra_kafka.producer import Record
from orcastra_kafka.publish import event_record, record_of, refusal
from orcastra_kafka.results import forgotten
from orcastra_kafka.share.metadata import TopicFacts

T = TypeVar("T")


class KafkaDeadLetters(DeadLetterStore):
    """Dead letters in a topic. Whatever is asked, it is read from its beginning: there is no index."""

    def __init__(self, core_of: Callable[[], Core]) -> None:
        self._core_of = core_of
        self._removals: Removals | None = None

    async def put(self, batch: Sequence[DeadLetter], /) -> None:
        core = self._core_of()
        try:
            records = [record_of_letter(core.names, letter) for letter in batch]
        except (SerializationError, ValueError) as error:
            raise InvalidOption(str(error)) from error
        if records:
            await core.ensure_dead()
            for failure in await core.producer.send(records):
                if failure is not None:
                    raise failure

    async def page(
        self, *, queue: QueueName | None = None, after: TaskId | None = None, limit: int = 100
    ) -> Sequence[DeadLetter]:
        core = self._core_of()
        found: list[DeadLetter] = []

        async def read(topic: TopicFacts) -> None:
            async for some in letters(
                core,
                topic,
                among=lambda task_id: after is None or task_id > after,
                fits=lambda entry: queue is None or queue_of(entry) == queue,
                room=min(limit, ROOM),
            ):
                found.extend(letter_of(entry) for _, entry in some[: limit - len(found)])
                if len(found) >= limit:
                    return

        if limit > 0:
            await self._with_topic(core, read)
        return found

    async def get(self, ids: Sequence[TaskId], /) -> Sequence[DeadLetter | None]:
        core = self._core_of()
        found: dict[TaskId, DeadLetter] = {}

        async def read(topic: TopicFacts) -> None:
            for partition, wanted in _by_partition(ids, topic).items():
                left = wanted
                while left:
                    scan = Scan(among=left.__contains__, room=len(left))
                    await read_on(core, topic, partition, 0, scan)
                    found.update((task_id, letter_of(entry)) for task_id, entry in scan.letters())
                    left = scan.left(left)

        await self._with_topic(core, read)
        return [found.get(task_id) for task_id in ids]

    async def replay(self, ids: Sequence[TaskId], /, *, events: Sequence[bytes] = ()) -> Sequence[Published | None]:
        core = self._core_of()
        answers: dict[TaskId, Published] = {}
        first = {task_id: place for place, task_id in reversed(list(enumerate(ids)))}

        def instead(task_id: TaskId, entry: Entry) -> Sequence[Record] | None:
            again = _again(core, letter_of(entry))
            if isinstance(again, Refused):
                answers[task_id] = again
                return None
            told = [event_record(core, events[first[task_id]])] if events else []
            return [again, forgotten(core, task_id), *told]

        async def replay(topic: TopicFacts) -> None:
            for partition, wanted in _by_partition(ids, topic).items():
                left = wanted
                while left:
                    scan = Scan(among=left.__contains__, room=len(left))
                    try:
                        gone = await self._removals_of(core).remove(
                            topic, partition, scan, limit=len(left), instead=instead
                        )
                    except (BrokerError, *CLIENT_ERRORS) as error:
                        answers.update(dict.fromkeys(left, Unknown(translate(error, core.where))))
                        break
                    answers.update(dict.fromkeys(gone, STORED))
                    left = scan.left(left)

        await self._with_topic(core, replay)
        return [answers.get(task_id) if first[task_id] == place else None for place, task_id in enumerate(ids)]

    async def purge(
        self,
        *,
        ids: Sequence[TaskId] | None = None,
        queue: QueueName | None = None,
        older_than: float = 0.0,
        limit: int = 1000,
    ) -> int:
        core = self._core_of()
        before = core.clock.now() - older_than
        count = 0

        def fits(entry: Entry) -> bool:
            return died_at(entry) <= before and (queue is None or queue_of(entry) == queue)

        async def purge(topic: TopicFacts) -> None:
            nonlocal count
            for partition in range(len(topic.leaders)):
                after: TaskId | None = None
                wanted = None if ids is None else _by_partition(ids, topic).get(partition, set())
                while count < limit and (wanted is None or wanted):
                    scan = Scan(among=partial(_is_among, wanted, after), fits=fits, room=min(limit, ROOM))
                    gone = await self._removals_of(core).remove(
                        topic, partition, scan, limit=limit - count, instead=lambda _, __: ()
                    )
                    count += len(gone)
                    if scan.behind is None:
                        break
                    after = scan.behind

        if limit > 0:
            await self._with_topic(core, purge)
        return count

    def _removals_of(self, core: Core) -> Removals:
        if self._removals is None or self._removals.core is not core:
            self._removals = Removals(core)
        return self._removals

    async def _with_topic(self, core: Core, work: Callable[[TopicFacts], Awaitable[None]]) -> None:
        try:
            topic = await logs.find(core, core.names.dead)
            if topic is not None:
                await work(topic)
        except CLIENT_ERRORS as error:
            raise translate(error, core.where) from error


def _again(core: Core, letter: DeadLetter) -> Record | Refused:
    """Return the record by which a task starts anew, or why there is none."""
    envelope = letter.envelope
    if not isinstance(envelope, Envelope):
        return Refused("its bytes cannot be read")
    past = envelope.due is not None and envelope.due <= core.clock.now()
    envelope = attrs.evolve(envelope, counts=FRESH, due=None if past else envelope.due)
    refused = refusal(envelope, core.settings)
    if refused is not None:
        return refused
    try:
        return record_of(envelope, FRESH, core.names)
    except SerializationError as error:
        return Refused(str(error))


def _by_partition(ids: Sequence[TaskId], topic: TopicFacts) -> dict[int, set[TaskId]]:
    """Sort ids by where their letters are; a text that is no id is nowhere."""
    found: dict[int, set[TaskId]] = {}
    for task_id in ids:
        try:
            key = bytes_of(task_id)
        except ValueError:
            continue
        found.setdefault(crc32(key) % len(topic.leaders), set()).add(task_id)
    return found


def _is_among(wanted: set[TaskId] | None, after: TaskId | None, task_id: TaskId) -> bool:
    return (wanted is None or task_id in wanted) and (after is None or task_id > after)
