"""The bytes of our messages are those that Kafka's own classes write and read."""

from __future__ import annotations

from typing import Any

import pytest

from orcastra_kafka.share.errors import KafkaCode, VersionNotOffered
from orcastra_kafka.share.groups import (
    AlterConfigs,
    AlterGroupConfig,
    DescribeShareOffsets,
    Progress,
    Refusal,
    ShareProgress,
)
from orcastra_kafka.share.messages import Heartbeat, Node, ShareAcknowledge, ShareFetch, ShareGroupHeartbeat
from orcastra_kafka.share.metadata import Coordinator, FindCoordinator, Metadata, TopicFacts, partitions_of
from orcastra_kafka.share.wire import Request

TOPIC = bytes(range(1, 17))

# Written by org.apache.kafka.common.message.* of kafka-clients 4.4.0 (MessageUtil.toByteBufferAccessor).
REQUESTS: dict[str, tuple[Request[Any], str]] = {
    "join": (
        ShareGroupHeartbeat("orc.g", "m-1", 0, ["a", "b"]),
        "066f72632e67046d2d310000000000030261026200",
    ),
    "stay": (ShareGroupHeartbeat("orc.g", "m-1", 7), "066f72632e67046d2d3100000007000000"),
    "leave": (ShareGroupHeartbeat("orc.g", "m-1", -1), "066f72632e67046d2d31ffffffff000000"),
    "fetch": (
        ShareFetch(
            group="orc.g",
            member="m-1",
            epoch=4,
            wait=0.25,
            max_records=10,
            batch_size=10,
            acks={(TOPIC, 1): [(5, 9, (1,)), (11, 11, (0,))]},
            add=frozenset({(TOPIC, 0), (TOPIC, 1)}),
            forget=frozenset({(TOPIC, 3)}),
        ),
        "066f72632e67046d2d3100000004000000fa000000017fffffff0000000a0000000a0100020102030405060708090a0b0c0d0e0f10"
        "03000000000100000000010300000000000000050000000000000009020100000000000000000b000000000000000b0200000000"
        "020102030405060708090a0b0c0d0e0f1002000000030000",
    ),
    "acknowledge": (
        ShareAcknowledge(
            group="orc.g", member="m-1", epoch=5, renews=True, acks={(TOPIC, 1): [(5, 7, (4,)), (8, 8, (2,))]}
        ),
        "066f72632e67046d2d310000000501020102030405060708090a0b0c0d0e0f10020000000103000000000000000500000000000000"
        "0702040000000000000000080000000000000008020200000000",
    ),
    "metadata": (Metadata(["a"]), "0200000000000000000000000000000000026100000000"),
    "metadata of all": (Metadata(None), "00000000"),
    "metadata of none": (Metadata([]), "01000000"),
    "coordinator": (FindCoordinator("orc.g"), "066f72632e670000"),
    "config": (
        AlterGroupConfig("orc.g", {"share.auto.offset.reset": "earliest"}),
        "0220066f72632e67021873686172652e6175746f2e6f66667365742e726573657400096561726c6965737400000000",
    ),
    "offsets": (DescribeShareOffsets("orc.g"), "02066f72632e67000000"),
    "offsets of some": (
        DescribeShareOffsets("orc.g", {"a": [0, 1]}),
        "02066f72632e67020261030000000000000001000000",
    ),
}


@pytest.mark.parametrize("name", REQUESTS)
def test_a_request_is_written_as_kafka_writes_it(name: str) -> None:
    request, frame = REQUESTS[name]
    assert request.encode().hex() == frame


def test_a_heartbeats_answer_brings_an_assignment() -> None:
    said = ShareGroupHeartbeat.decode(
        bytes.fromhex(
            "00000000000000046d2d31000000030000138801020102030405060708090a0b0c0d0e0f10030000000000000002000000"
        )
    )
    assert said == Heartbeat(0, None, 3, 5.0, frozenset({(TOPIC, 0), (TOPIC, 2)}))


def test_a_heartbeats_answer_without_an_assignment() -> None:
    said = ShareGroupHeartbeat.decode(bytes.fromhex("000000000010066d6f7665640000000003000001f4ff00"))
    assert said == Heartbeat(KafkaCode.NOT_COORDINATOR, "moved", 3, 0.5, None)


def test_a_fetchs_answer_is_read_whole() -> None:
    said = ShareFetch.decode(
        bytes.fromhex(
            "0000000000000000007530020102030405060708090a0b0c0d0e0f1002000000010000000079056c617465000000020000000900"
            "0102000000000000001400000000000000160002000000020000000203623200002385000000"
        )
    )
    assert (said.error, said.lock, said.nodes) == (0, 30.0, [Node(2, "b2", 9093)])
    fetched = said.partitions[TOPIC, 1]
    assert (fetched.error, fetched.ack_error, fetched.ack_message) == (0, KafkaCode.INVALID_RECORD_STATE, "late")
    assert (fetched.leader, fetched.records, fetched.acquired) == (2, b"", [(20, 22, 2)])


def test_an_acknowledgements_answer_names_the_new_leader() -> None:
    said = ShareAcknowledge.decode(
        bytes.fromhex(
            "0000000000000000007530020102030405060708090a0b0c0d0e0f1002000000010006076e6f74206d6500000002000000090000"
            "000100"
        )
    )
    assert said.partitions == {(TOPIC, 1): (KafkaCode.NOT_LEADER_OR_FOLLOWER, "not me")}


def test_a_version_that_the_broker_does_not_offer_is_said_so() -> None:
    request, _ = REQUESTS["fetch"]
    with pytest.raises(VersionNotOffered, match=r"ShareFetch \(API 78\) is needed in version 2; .* versions 0 to 1"):
        request.prepare({78: (0, 1)})
    with pytest.raises(VersionNotOffered, match="offers no version"):
        request.prepare({})


def test_metadatas_answer_is_read_whole() -> None:
    said = Metadata.decode(
        bytes.fromhex(
            "0000000003000000010362310000238402720000000002036232000023850000026300000002030000026101020304050607"
            "08090a0b0c0d0e0f100003000000000001000000020000000403000000020000000102000000020100000500000000ffffff"
            "ff000000030300000001000000020102000000010080000000000003027a0000000000000000000000000000000000018000"
            "00000000"
        )
    )
    assert (said.controller, said.nodes) == (2, {1: Node(1, "b1", 9092), 2: Node(2, "b2", 9093)})
    assert said.topics == {
        "a": TopicFacts(0, "a", TOPIC, [-1, 2], replicas=2),
        "z": TopicFacts(KafkaCode.UNKNOWN_TOPIC_OR_PARTITION, "z", bytes(16), [], replicas=0),
    }
    assert partitions_of(said.topics["a"]) == [(TOPIC, 0), (TOPIC, 1)]


def test_a_coordinators_answer_is_read_whole() -> None:
    said = FindCoordinator.decode(bytes.fromhex("00000000000f086e6f7420796574000000020362320000238500"))
    assert said == Coordinator(KafkaCode.COORDINATOR_NOT_AVAILABLE, "not yet", Node(2, "b2", 9093))


def test_a_refused_config_is_said_so() -> None:
    said = AlterGroupConfig.decode(bytes.fromhex("00000000020028036e6f20066f72632e670000"))
    assert said == Refusal(KafkaCode.INVALID_CONFIG, "no")


def test_the_progress_of_a_group_is_read_whole() -> None:
    said = DescribeShareOffsets.decode(
        bytes.fromhex(
            "0000000002066f72632e670202610102030405060708090a0b0c0d0e0f100300000000000000000000000700000002000000"
            "00000000050000000000000001ffffffffffffffff00000000ffffffffffffffff000305676f6e6500000000000000"
        )
    )
    gone = Progress(-1, -1, KafkaCode.UNKNOWN_TOPIC_OR_PARTITION)
    assert said == ShareProgress(0, None, {"a": {0: Progress(7, 5, 0), 1: gone}})


def test_every_message_is_here_both_ways() -> None:
    """The messages of this package: whoever adds one adds its frames."""
    kinds = {type(request) for request, _ in REQUESTS.values()}
    assert kinds == {kind for kind in _subclasses(Request) if kind.__module__.startswith("orcastra_kafka.share.")} - {
        AlterConfigs
    }


def _subclasses(kind: type[Any]) -> set[type[Any]]:
    return {one for direct in kind.__subclasses__() for one in {direct, *_subclasses(direct)}}
