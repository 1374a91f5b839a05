"""What becomes of schedules in a transaction: claims, settled ticks, and recurring ones that are added again; and of how many."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

import attrs

from orcastra_core.model.errors import DeserializationError
from orcastra_core.model.schedule import Fired, Schedule
from orcastra_kafka.schedule.partition import MOST_CHANGED, Draft, Drafting, Partition
from orcastra_kafka.schedule.records import head, key_of, moved, pack, same, unpack


def shares(partitions: Sequence[Partition], now: float, limit: int) -> Mapping[Partition, int]:
    """Return from which partitions how many of the earliest that are due come, ``limit`` of them in all."""
    moments = [
        (entry.look, partition.number)
        for partition in partitions
        for _, entry in partition.table.calendar.peek(now, limit)
    ]
    counts = Counter(number for _, number in sorted(moments)[: max(0, limit)])
    return {partition: counts[partition.number] for partition in partitions if counts[partition.number]}


def claimed(partition: Partition, now: float, limit: int, lease: float, taken: list[Schedule]) -> Drafting:
    """Return how to claim what is due; what was claimed is added to ``taken``."""
    before = len(taken)

    async def draft() -> Draft:
        del taken[before:]
        due = partition.table.calendar.due(now, limit)
        try:
            values = await partition.values(due)
        finally:
            partition.table.calendar.restore(due)
        changes: dict[bytes, bytes | None] = {}
        size = 0
        for key, entry in due:
            size += len(key) + len(values.get(key, b"")) + 64
            if key not in values or (changes and size > MOST_CHANGED):
                break
            try:
                taken.append(unpack(key, values[key]))
            except DeserializationError:
                partition.table.ignore(key)
                continue
            changes[key] = moved(values[key], due=entry.due, look=now + lease)
        return Draft(changes)

    return draft


def settled(partition: Partition, batch: Sequence[Fired], answers: list[bool]) -> Drafting:
    """Return how to move schedules on.

    Args:
        partition: Where they are.
        batch: What to do.
        answers: Gets an answer for each, or for the first of them only: the rest is for another transaction.
    """

    async def draft() -> Draft:
        answers.clear()
        keys = dict.fromkeys(key_of(fired.id) for fired in batch)
        found = [(key, entry) for key in keys if (entry := partition.table.get(key)) is not None]
        dues = {key: entry.due for key, entry in found}
        values = await partition.values(found)
        changes: dict[bytes, bytes | None] = {}
        size = 0
        for fired in batch:
            key = key_of(fired.id)
            size += len(key) + 64 + (len(values.get(key, b"")) if fired.next_due is not None else 0)
            if changes and size > MOST_CHANGED:
                break
            answers.append(key in values and dues.get(key) == fired.expected_due)
            if not answers[-1]:
                continue
            if fired.next_due is None:
                changes[key] = None
                del dues[key]
            else:
                changes[key] = moved(values[key], due=fired.next_due, look=fired.next_due)
                dues[key] = fired.next_due
        return Draft(changes)

    return draft


def kept(partition: Partition, key: bytes, schedule: Schedule) -> Drafting:
    """Return how to store a recurring schedule anew that keeps its due."""

    async def draft() -> Draft:
        entry = partition.table.get(key)
        old = (await partition.values([(key, entry)])).get(key) if entry is not None else None
        if old is None or not same(unpack(key, old), schedule):
            return Draft({key: pack(schedule)})
        return Draft({key: pack(attrs.evolve(schedule, due=head(old).due), look=head(old).look)})

    return draft
