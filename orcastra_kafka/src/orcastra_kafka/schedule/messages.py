"""Who has transactions open in a log (DescribeProducers v0), as values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import attrs

from orcastra_kafka.share.private import CompactArray, Int16, Int32, Int64
from orcastra_kafka.share.wire import NO_TAGS, TEXT, Request, array


@attrs.frozen
class DescribeProducers(Request[Mapping[tuple[str, int], tuple[int, Sequence[int]]]]):
    """Ask a leader who writes to its partitions. Answered by topic and partition: an error, and producers with an open transaction."""

    key = 61
    version = 0
    layout = (("topics", array(("name", TEXT), ("partitions", CompactArray(Int32)))),)
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
                        ("message", TEXT),
                        (
                            "producers",
                            array(
                                ("id", Int64),
                                ("epoch", Int32),
                                ("sequence", Int32),
                                ("at", Int64),
                                ("coordinator", Int32),
                                ("start", Int64),
                            ),
                        ),
                    ),
                ),
            ),
        ),
    )

    partitions: Mapping[str, Sequence[int]]

    def fields(self) -> tuple[Any, ...]:
        return ([(name, list(numbers), NO_TAGS) for name, numbers in self.partitions.items()],)

    @classmethod
    def read(cls, said: Any) -> Mapping[tuple[str, int], tuple[int, Sequence[int]]]:
        return {
            (name, row[0]): (row[1], [producer[0] for producer in row[3] or () if producer[5] >= 0])
            for name, rows, _ in said.topics
            for row in rows
        }
