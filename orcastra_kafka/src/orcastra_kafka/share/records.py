"""Records as they are handed over, out of batches and acquired ranges."""

from __future__ import annotations

from collections.abc import Sequence

import attrs

from orcastra_kafka.share.messages import Fetched, Partition
from orcastra_kafka.share.private import MemoryRecords


@attrs.frozen(eq=False)
class ShareRecord:
    """A record that this member holds until it acknowledges it, or loses it.

    Attributes:
        topic: Its topic's name.
        partition: Its topic's id and its partition's number.
        offset: Where it is.
        key, value, headers: As they were produced.
        timestamp: Unix milliseconds.
        delivery_count: How often it was handed out, this time included.
    """

    topic: str
    partition: Partition
    offset: int
    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes]]
    timestamp: int
    delivery_count: int


def records_of(topic: str, partition: Partition, fetched: Fetched) -> tuple[list[ShareRecord], list[int]]:
    """Return the records of an answer, and the acquired offsets that have none (gaps)."""
    counts: dict[int, int] = {}
    for first, last, count in fetched.acquired:
        counts.update(dict.fromkeys(range(first, last + 1), count))
    records: list[ShareRecord] = []
    batches = MemoryRecords(fetched.records or b"")
    while counts and batches.has_next():
        batch = batches.next_batch()
        if batch is None:
            break
        if batch.is_control_batch:
            continue
        for record in batch:
            count = counts.pop(record.offset, 0)
            if count:
                records.append(
                    ShareRecord(
                        topic,
                        partition,
                        record.offset,
                        record.key,
                        record.value,
                        record.headers,
                        record.timestamp,
                        count,
                    )
                )
                if not counts:
                    break  # the batch may have many more, for others
    return records, list(counts)
