"""CreateTopics v7, DescribeConfigs v4 and IncrementalAlterConfigs v1, as values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import attrs

from orcastra_kafka.share.groups import GROUP_RESOURCE, AlterConfigs
from orcastra_kafka.share.private import Boolean, CompactArray, Int8, Int16, Int32
from orcastra_kafka.share.wire import NO_TAGS, TEXT, Request, Uuid, array

_TOPIC = 2
_BROKER = 4


@attrs.frozen
class NewTopic:
    """Attributes: a name, how many partitions, how many replicas (-1: as the broker has it), and configs."""

    name: str
    partitions: int
    replicas: int
    configs: Mapping[str, str]


@attrs.frozen
class CreateTopics(Request[Mapping[str, tuple[int, str | None]]]):
    """Create topics. Answered by name: an error, and what was said about it."""

    key = 19
    version = 7
    layout = (
        (
            "topics",
            array(
                ("name", TEXT),
                ("partitions", Int32),
                ("replicas", Int16),
                ("assignments", array(("index", Int32), ("brokers", CompactArray(Int32)))),
                ("configs", array(("name", TEXT), ("value", TEXT))),
            ),
        ),
        ("timeout", Int32),
        ("validate", Boolean),
    )
    answer = (
        ("throttle", Int32),
        (
            "topics",
            array(
                ("name", TEXT),
                ("topic_id", Uuid),
                ("error", Int16),
                ("message", TEXT),
                ("partitions", Int32),
                ("replicas", Int16),
                (
                    "configs",
                    array(
                        ("name", TEXT), ("value", TEXT), ("read_only", Boolean), ("source", Int8), ("secret", Boolean)
                    ),
                ),
            ),
        ),
    )

    topics: Sequence[NewTopic]
    timeout: float

    def fields(self) -> tuple[Any, ...]:
        rows: list[Any] = [
            (
                topic.name,
                topic.partitions,
                topic.replicas,
                [],
                [(name, value, NO_TAGS) for name, value in topic.configs.items()],
                NO_TAGS,
            )
            for topic in self.topics
        ]
        return rows, round(self.timeout * 1000), False

    @classmethod
    def read(cls, said: Any) -> Mapping[str, tuple[int, str | None]]:
        return {row[0]: (row[2], row[3]) for row in said.topics}


class DescribeConfigs(Request[tuple[int, Mapping[str, str]]]):
    """Ask how one resource is set up. Answered with an error, and configs by name. Subclasses say of which."""

    key = 32
    version = 4
    layout = (
        ("resources", array(("type", Int8), ("name", TEXT), ("keys", CompactArray(TEXT)))),
        ("synonyms", Boolean),
        ("documentation", Boolean),
    )
    answer = (
        ("throttle", Int32),
        (
            "results",
            array(
                ("error", Int16),
                ("message", TEXT),
                ("type", Int8),
                ("name", TEXT),
                (
                    "configs",
                    array(
                        ("name", TEXT),
                        ("value", TEXT),
                        ("read_only", Boolean),
                        ("source", Int8),
                        ("secret", Boolean),
                        ("synonyms", array(("name", TEXT), ("value", TEXT), ("source", Int8))),
                        ("type", Int8),
                        ("documentation", TEXT),
                    ),
                ),
            ),
        ),
    )

    @classmethod
    def read(cls, said: Any) -> tuple[int, Mapping[str, str]]:
        row = said.results[0]
        return row[0], {config[0]: config[1] for config in row[4] if config[1] is not None}


@attrs.frozen
class DescribeBroker(DescribeConfigs):
    """Ask a broker how it is set up."""

    node: int
    names: Sequence[str]

    def fields(self) -> tuple[Any, ...]:
        return [(_BROKER, str(self.node), list(self.names), NO_TAGS)], False, False


@attrs.frozen
class DescribeTopic(DescribeConfigs):
    """Ask how a topic is set up."""

    topic: str
    names: Sequence[str]

    def fields(self) -> tuple[Any, ...]:
        return [(_TOPIC, self.topic, list(self.names), NO_TAGS)], False, False


@attrs.frozen
class DescribeGroup(DescribeConfigs):
    """Ask how a group is set up."""

    group: str
    names: Sequence[str]

    def fields(self) -> tuple[Any, ...]:
        return [(GROUP_RESOURCE, self.group, list(self.names), NO_TAGS)], False, False


@attrs.frozen
class AlterTopicConfig(AlterConfigs):
    """Set configs of a topic, by name; others stay."""

    topic: str
    configs: Mapping[str, str]

    def fields(self) -> tuple[Any, ...]:
        return self.row(_TOPIC, self.topic, self.configs)
