"""Firing what is due: into the topics of queues and off the log of schedules, in one transaction."""

from __future__ import annotations

import logging

from orcastra_core.model.errors import DeserializationError, SerializationError
from orcastra_core.model.names import QueueName
from orcastra_core.model.published import STORED, Published, Refused
from orcastra_core.model.schedule import Plan, Schedule, Tally
from orcastra_kafka.core import Core
from orcastra_kafka.producer import Record
from orcastra_kafka.publish import record_of, refusal
from orcastra_kafka.schedule.calendar import Due
from orcastra_kafka.schedule.partition import MOST_CHANGED, Draft, Partition
from orcastra_kafka.schedule.records import moved, unpack

_log = logging.getLogger("orcastra.kafka")

_MOST_SENT = 8 << 20
"""Bytes that a transaction publishes, about."""


class Volley:
    """What one partition fires in one transaction.

    Attributes:
        tally: What came of it.
    """

    def __init__(self, core: Core, partition: Partition, plan: Plan, limit: int) -> None:
        self._core = core
        self._partition = partition
        self._plan = plan
        self._limit = limit
        self._calendar = partition.table.calendar
        self._taken: list[Due] = []
        self._queues: set[QueueName] = set()
        self.tally = Tally()

    async def fire(self) -> None:
        """Fire. Raises what a cluster raises, and BrokerError."""
        try:
            if not await self._partition.fire(self._draft):
                self.tally = Tally()
        except BaseException:
            self.tally = Tally()
            raise
        finally:
            self._put_back()

    def _put_back(self) -> None:
        self._calendar.restore(self._taken)
        self._taken = []

    async def _draft(self) -> Draft:
        self._put_back()
        self.tally = Tally()
        now = self._core.clock.now()
        self._calendar = self._partition.table.calendar
        self._taken = self._calendar.due(now, self._limit)
        values = await self._partition.values(self._taken)
        changes: dict[bytes, bytes | None] = {}
        records: list[Record] = []
        kept = sent = 0
        for key, _ in self._taken:
            if key not in values:
                continue  # it was overwritten just now: the log says by what
            try:
                schedule = unpack(key, values[key])
            except DeserializationError as error:
                _log.error("schedule %r cannot be read, and is left alone: %s", key, error)
                self._partition.table.ignore(key)
                continue
            size = len(key) + 64 + (len(values[key]) if schedule.trigger is not None else 0)
            if changes and (kept + size > MOST_CHANGED or sent > _MOST_SENT):
                break  # the rest is for the next one
            changes[key], published = self._fired(schedule, values[key], now)
            records += published
            kept += size
            sent += sum(record.size for record in published)
        await self._core.ensure_queues(list(self._queues))
        return Draft(changes, records)

    def _fired(self, schedule: Schedule, value: bytes, now: float) -> tuple[bytes | None, list[Record]]:
        """Return what becomes of a schedule, and what it publishes."""
        firing = self._plan(schedule, now)
        records: list[Record] = []
        answers: list[Published] = []
        for envelope in firing.publish:
            answer: Published = refusal(envelope, self._core.settings) or STORED
            if answer is STORED:
                try:
                    records.append(record_of(envelope, envelope.counts, self._core.names))
                    self._queues.add(envelope.queue)
                except SerializationError as error:
                    answer = Refused(str(error))
            answers.append(answer)
        self.tally.take(schedule, firing, answers, now)
        next_due = firing.next_due
        return None if next_due is None else moved(value, due=next_due, look=next_due), records
