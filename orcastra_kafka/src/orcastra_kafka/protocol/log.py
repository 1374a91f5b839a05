"""Fetch v13, ListOffsets v7 and DeleteRecords v2: reading a log and cutting its tail off, as values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import attrs

from orcastra_kafka.share.messages import Partition, by_topic
from orcastra_kafka.share.private import CompactArray, CompactBytes, Int8, Int16, Int32, Int64
from orcastra_kafka.share.wire import NO_TAGS, TEXT, Request, Uuid, array

LATEST = -1
EARLIEST = -2
_COMMITTED = 1


@attrs.frozen
class Page:
    """What one partition has behind an offset.

    Attributes:
        error: 0: none; 1: the offset is not, or no longer, there.
        end: The offset behind its last record that is committed.
        start: The offset of its first.
        records: Record batches; the first may begin before the offset that was asked for.
        aborted: Producers whose transaction was aborted, and the offset that it began at.
        high: The offset behind its last record, committed or not.
    """

    error: int
    end: int
    start: int
    records: bytes = attrs.field(repr=False)
    aborted: Sequence[tuple[int, int]] = ()
    high: int = -1


@attrs.frozen(kw_only=True)
class Fetch(Request[Mapping[Partition, Page]]):
    """Read partitions from offsets on, waiting up to ``wait`` seconds for anything at all."""

    key = 1
    version = 13
    layout = (
        ("replica", Int32),
        ("max_wait", Int32),
        ("min_bytes", Int32),
        ("max_bytes", Int32),
        ("isolation", Int8),
        ("session", Int32),
        ("epoch", Int32),
        (
            "topics",
            array(
                ("topic_id", Uuid),
                (
                    "partitions",
                    array(
                        ("index", Int32),
                        ("leader_epoch", Int32),
                        ("offset", Int64),
                        ("last_epoch", Int32),
                        ("start", Int64),
                        ("max_bytes", Int32),
                    ),
                ),
            ),
        ),
        ("forgotten", array(("topic_id", Uuid), ("partitions", CompactArray(Int32)))),
        ("rack", TEXT),
    )
    answer = (
        ("throttle", Int32),
        ("error", Int16),
        ("session", Int32),
        (
            "topics",
            array(
                ("topic_id", Uuid),
                (
                    "partitions",
                    array(
                        ("index", Int32),
                        ("error", Int16),
                        ("end", Int64),
                        ("stable", Int64),
                        ("start", Int64),
                        ("aborted", array(("producer", Int64), ("first", Int64))),
                        ("replica", Int32),
                        ("records", CompactBytes),
                    ),
                ),
            ),
        ),
    )

    offsets: Mapping[Partition, int]
    wait: float = 0.0
    max_bytes: int = 8 << 20

    def fields(self) -> tuple[Any, ...]:
        topics = [
            (topic, [(number, -1, offset, -1, -1, self.max_bytes, NO_TAGS) for number, offset in rows.items()], NO_TAGS)
            for topic, rows in by_topic(self.offsets).items()
        ]
        return -1, round(self.wait * 1000), 1, self.max_bytes, _COMMITTED, 0, -1, topics, [], ""

    @classmethod
    def read(cls, said: Any) -> Mapping[Partition, Page]:
        return {
            (topic, row[0]): Page(
                row[1] or said.error,
                row[3] if row[3] >= 0 else row[2],
                row[4],
                row[7] or b"",
                [one[:2] for one in row[5] or ()],
                row[2],
            )
            for topic, rows, _ in said.topics
            for row in rows
        }


@attrs.frozen
class ListOffsets(Request[Mapping[int, tuple[int, int]]]):
    """Find offsets in partitions of a topic by time: LATEST, EARLIEST, or Unix milliseconds.

    Answered by partition: an error, and the offset; -1 where nothing is that young. ``committed``: LATEST stops before
    the first transaction that is not over.
    """

    key = 2
    version = 7
    layout = (
        ("replica", Int32),
        ("isolation", Int8),
        (
            "topics",
            array(("name", TEXT), ("partitions", array(("index", Int32), ("leader_epoch", Int32), ("time", Int64)))),
        ),
    )
    answer = (
        ("throttle", Int32),
        (
            "topics",
            array(
                ("name", TEXT),
                (
                    "partitions",
                    array(
                        ("index", Int32),
                        ("error", Int16),
                        ("time", Int64),
                        ("offset", Int64),
                        ("leader_epoch", Int32),
                    ),
                ),
            ),
        ),
    )

    topic: str
    times: Mapping[int, int]
    committed: bool = True

    def fields(self) -> tuple[Any, ...]:
        rows = [(number, -1, time, NO_TAGS) for number, time in self.times.items()]
        return -1, _COMMITTED if self.committed else 0, [(self.topic, rows, NO_TAGS)]

    @classmethod
    def read(cls, said: Any) -> Mapping[int, tuple[int, int]]:
        return {row[0]: (row[1], row[3]) for _, rows, _ in said.topics for row in rows}


@attrs.frozen
class DeleteRecords(Request[Mapping[int, tuple[int, int]]]):
    """Drop what lies before an offset. Answered by partition: the new start, and an error."""

    key = 21
    version = 2
    layout = (
        ("topics", array(("name", TEXT), ("partitions", array(("index", Int32), ("offset", Int64))))),
        ("timeout", Int32),
    )
    answer = (
        ("throttle", Int32),
        (
            "topics",
            array(("name", TEXT), ("partitions", array(("index", Int32), ("start", Int64), ("error", Int16)))),
        ),
    )

    topic: str
    before: Mapping[int, int]
    timeout: float

    def fields(self) -> tuple[Any, ...]:
        rows = [(number, offset, NO_TAGS) for number, offset in self.before.items()]
        return [(self.topic, rows, NO_TAGS)], round(self.timeout * 1000)

    @classmethod
    def read(cls, said: Any) -> Mapping[int, tuple[int, int]]:
        return {row[0]: (row[1], row[2]) for _, rows, _ in said.topics for row in rows}
