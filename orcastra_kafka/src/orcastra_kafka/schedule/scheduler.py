"""The scheduler's edge."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from heapq import merge
from itertools import islice
from typing import TYPE_CHECKING

import attrs

from orcastra_core.interfaces.scheduler import Scheduler
from orcastra_core.model.errors import DeserializationError
from orcastra_core.model.schedule import Fired, Plan, Promotion, Schedule, ScheduleId, Tally
from orcastra_kafka.core import Core
from orcastra_kafka.producer import Record
from orcastra_kafka.schedule.book import Book
from orcastra_kafka.schedule.changes import claimed, kept, settled, shares
from orcastra_kafka.schedule.firing import Volley
from orcastra_kafka.schedule.partition import Partition
from orcastra_kafka.schedule.records import key_of, pack, same, spread, unpack
from orcastra_kafka.schedule.removals import marked

if TYPE_CHECKING:
    from orcastra_core.interfaces.broker import Broker


class KafkaScheduler(Scheduler):
    """Schedules of the domain, on a compacted topic. Due moments are judged by this process's clock: Kafka has none to ask.

    Additions and removals are plain appends. Whatever depends on the stored state is a transaction of a partition of
    that topic, and ``promote`` for the broker's own domain fires in one, together with what it publishes.
    """

    def __init__(self, core_of: Callable[[], Core]) -> None:
        self._core_of = core_of
        self._made: Book | None = None

    async def close(self) -> None:
        """End what is under way."""
        made, self._made = self._made, None
        if made is not None:
            await made.close()

    def abandon(self) -> None:
        """Forget what belongs to the parent process."""
        self._made = None

    async def add(self, batch: Sequence[Schedule], /) -> None:
        book = self._book()
        topic = book.core.names.schedule
        packed = [(key_of(schedule.id), schedule, pack(schedule)) for schedule in batch]
        records: list[Record] = []
        for key, schedule, value in packed:
            if schedule.trigger is None:
                records.append(Record(topic, key, value, spread=spread(key)))
                continue
            await _send(book, records)
            records.clear()
            stored = await self._stored(book, [key])
            if key in stored and same(stored[key], schedule):
                if attrs.evolve(schedule, due=stored[key].due, envelope=stored[key].envelope) != stored[key]:
                    (partition,) = book.by_partition([key])
                    await book.done(partial(partition.change, kept(partition, key, schedule)))
            else:
                records.append(Record(topic, key, value, spread=spread(key)))
        await _send(book, records)

    async def remove(self, ids: Sequence[ScheduleId], /) -> Sequence[bool]:
        book = self._book()
        keys = [key_of(one) for one in ids]
        if not keys:
            return []
        await book.partitions()
        places = book.by_partition(dict.fromkeys(keys))
        known = {partition: [key for key in some if key in partition.table] for partition, some in places.items()}
        mark = secrets.token_bytes(8)
        answers = {partition: partition.removals.expect(mark) for partition in known}
        try:
            topic = book.core.names.schedule
            await _send(
                book,
                [Record(topic, key, None, marked(mark), spread=spread(key)) for some in known.values() for key in some],
            )
            await book.partitions()
            gone = {key: found for answer in answers.values() for key, found in answer.items()}
        finally:
            for partition in known:
                partition.removals.forget(mark)
        return [gone.pop(key, False) for key in keys]

    async def get(self, ids: Sequence[ScheduleId], /) -> Sequence[Schedule | None]:
        if not ids:
            return []
        keys = [key_of(one) for one in ids]
        stored = await self._stored(self._book(), keys)
        return [stored.get(key) for key in keys]

    async def page(self, *, after: ScheduleId | None = None, limit: int = 100) -> Sequence[Schedule]:
        book = self._book()
        behind = None if after is None else key_of(after)
        pages = [partition.table.page(behind, limit) for partition in await book.partitions()]
        keys = list(islice(merge(*pages), max(0, limit)))
        stored = await self._stored(book, keys)
        return [stored[key] for key in keys if key in stored]

    async def claim(self, *, limit: int, lease: float) -> tuple[float, Sequence[Schedule]]:
        book = self._book()
        partitions = await book.partitions()
        now = book.core.clock.now()
        taken: list[Schedule] = []
        for partition, most in shares(partitions, now, limit).items():
            await book.done(partial(partition.change, claimed(partition, now, most, lease, taken)))
        return now, sorted(taken, key=lambda schedule: schedule.due)

    async def settle(self, batch: Sequence[Fired], /) -> Sequence[bool]:
        book = self._book()
        await book.partitions()
        answers = [False] * len(batch)
        places: dict[Partition, list[int]] = {}
        for number, fired in enumerate(batch):
            (partition,) = book.by_partition([key_of(fired.id)])
            if key_of(fired.id) in partition.table:
                places.setdefault(partition, []).append(number)
        for partition, numbers in places.items():
            while numbers:
                said: list[bool] = []
                some = settled(partition, [batch[number] for number in numbers], said)
                await book.done(partial(partition.change, some))
                for number, answer in zip(numbers, said, strict=False):
                    answers[number] = answer
                numbers = numbers[len(said) :]
        return answers

    async def next_in(self) -> float | None:
        book = self._book()
        partitions = await book.partitions()
        now = book.core.clock.now()
        moments = [partition.table.calendar.first(now) for partition in partitions]
        return min((max(0.0, moment - now) for moment in moments if moment is not None), default=None)

    async def promote(self, broker: Broker, /, *, limit: int, plan: Plan) -> Promotion:
        book = self._book()
        own = broker.scheduler
        if not isinstance(own, KafkaScheduler) or own._place != self._place:
            return await super().promote(broker, limit=limit, plan=plan)
        book.follow()
        partitions = await book.partitions()
        for partition in partitions:
            await partition.idle()  # a promote that was cut short may still be under way
        now = book.core.clock.now()
        tally = Tally()
        if ready := shares([partition for partition in partitions if partition.is_due(now)], now, limit):
            volleys = [Volley(book.core, partition, plan, most) for partition, most in ready.items()]
            ended = await asyncio.gather(*(book.done(volley.fire) for volley in volleys), return_exceptions=True)
            failures = [one for one in ended if isinstance(one, BaseException)]
            if failures:
                raise failures[0]
            for volley in volleys:
                tally.done += volley.tally.done
                tally.refused += volley.tally.refused
        now = book.core.clock.now()
        moments = [moment for partition in partitions if (moment := partition.moment(now)) is not None]
        book.armed = min(moments, default=float("inf"))
        return tally.promotion(max(0.0, book.armed - now) if moments else None)

    async def _stored(self, book: Book, keys: Sequence[bytes]) -> Mapping[bytes, Schedule]:
        """Return what is stored under keys."""
        await book.partitions()
        found: dict[bytes, Schedule] = {}
        for partition, some in book.by_partition(keys).items():
            entries = [(key, entry) for key in some if (entry := partition.table.get(key)) is not None]
            for key, value in (await book.done(partial(partition.values, entries))).items():
                try:
                    found[key] = unpack(key, value)
                except DeserializationError:
                    continue  # of a later release
        return found

    def _book(self) -> Book:
        core = self._core_of()
        if self._made is None or self._made.core is not core:
            self._made = Book(core)
        return self._made

    @property
    def _place(self) -> tuple[object, ...]:
        settings = self._core_of().settings
        return settings.hosts, settings.domain


async def _send(book: Book, records: Sequence[Record]) -> None:
    if not records:
        return
    await book.core.ensure_schedule()
    for failure in await book.core.producer.send(records):
        if failure is not None:
            book.core.look_again(failure)
            raise failure
