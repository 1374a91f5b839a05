"""The bytes of the messages beside those of share groups: producing, reading logs, topics and their settings."""

from __future__ import annotations

from typing import Any

import pytest

from orcastra_kafka.protocol.log import EARLIEST, DeleteRecords, Fetch, ListOffsets, Page
from orcastra_kafka.protocol.produce import InitProducerId, Produce, Produced, ProducerIdentity
from orcastra_kafka.protocol.topics import AlterTopicConfig, CreateTopics, DescribeBroker, NewTopic
from orcastra_kafka.share.errors import KafkaCode
from orcastra_kafka.share.wire import Request

TOPIC = bytes(range(1, 17))

# Written by org.apache.kafka.common.message.* of kafka-clients 4.4.0 (MessageUtil.toByteBufferAccessor).
REQUESTS: dict[str, tuple[Request[Any], str]] = {
    "fetch": (
        Fetch(offsets={(TOPIC, 1): 42}, wait=0.25, max_bytes=1000),
        "ffffffff000000fa00000001000003e80100000000ffffffff020102030405060708090a0b0c0d0e0f100200000001ffffff"
        "ff000000000000002affffffffffffffffffffffff000003e80000010100",
    ),
    "offsets": (ListOffsets("a", {1: EARLIEST}), "ffffffff010202610200000001fffffffffffffffffffffffe000000"),
    "delete": (DeleteRecords("a", {1: 12}, 5.0), "0202610200000001000000000000000c00000000138800"),
    "identity": (InitProducerId(), "007fffffffffffffffffffffffffff00"),
    "produce": (Produce("a", 1, b"", 5.0), "00ffff00001388020261020000000101000000"),
    "create": (
        CreateTopics([NewTopic("a", 4, -1, {"retention.ms": "-1"})], 5.0),
        "02026100000004ffff01020d726574656e74696f6e2e6d73032d310000000013880000",
    ),
    "describe": (DescribeBroker(1, ["a", "b"]), "02040231030261026200000000"),
    "alter": (AlterTopicConfig("a", {"retention.ms": "7"}), "02020261020d726574656e74696f6e2e6d7300023700000000"),
}


@pytest.mark.parametrize("name", REQUESTS)
def test_a_request_is_written_as_kafka_writes_it(name: str) -> None:
    request, frame = REQUESTS[name]
    assert request.encode().hex() == frame


ANSWERS: dict[str, tuple[type[Request[Any]], str, Any]] = {
    "fetch": (
        Fetch,
        "00000000000000000000020102030405060708090a0b0c0d0e0f100200000001000000000000000000320000000000000030"
        "0000000000000003020000000000000009000000000000002c00ffffffff01000000",
        {(TOPIC, 1): Page(0, 48, 3, b"", [(9, 44)], 50)},
    ),
    "offsets": (
        ListOffsets,
        "0000000002026102000000010006ffffffffffffffff000000000000000c00000003000000",
        {1: (KafkaCode.NOT_LEADER_OR_FOLLOWER, 12)},
    ),
    "delete": (
        DeleteRecords,
        "000000000202610200000001000000000000000c0006000000",
        {1: (12, KafkaCode.NOT_LEADER_OR_FOLLOWER)},
    ),
    "identity": (
        InitProducerId,
        "00000000000e000000000000004d000200",
        ProducerIdentity(KafkaCode.COORDINATOR_LOAD_IN_PROGRESS, 77, 2),
    ),
    "produce": (
        Produce,
        "02026102000000010057000000000000000cffffffffffffffff000000000000000302000000000462616400036e6f00000000000000",
        Produced(87, "no", 12),
    ),
    "create": (
        CreateTopics,
        "000000000202610102030405060708090a0b0c0d0e0f1000240a697420657869737473000000040001020d726574656e7469"
        "6f6e2e6d73032d3100ff00000000",
        {"a": (KafkaCode.TOPIC_ALREADY_EXISTS, "it exists")},
    ),
    "describe": (
        DescribeBroker,
        "000000000200000104023103026102350005000103010002620000ff01020262027804000001000000",
        (0, {"a": "5"}),
    ),
}


@pytest.mark.parametrize("name", ANSWERS)
def test_an_answer_is_read_as_kafka_writes_it(name: str) -> None:
    kind, frame, expected = ANSWERS[name]
    assert kind.decode(bytes.fromhex(frame)) == expected
