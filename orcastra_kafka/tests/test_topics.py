"""Topics: made with what they need, left alone where they are, asked for by name where they may not be made."""

from __future__ import annotations

import re
import uuid
from collections.abc import Mapping

import pytest
from kafka_rig import Open
from server_rig import QUEUE, make

from orcastra_core.model.errors import BrokerError
from orcastra_core.model.published import STORED, Unknown
from orcastra_kafka import KafkaBroker
from orcastra_kafka.conformance_servers import Ground, Server
from orcastra_kafka.protocol.topics import CreateTopics, DescribeTopic, NewTopic

ASKED = ("cleanup.policy", "retention.ms", "retention.bytes", "max.message.bytes", "message.timestamp.type", "min.insync.replicas", "compression.type")  # fmt: skip
DAY = 24 * 3600 * 1000


async def configs(broker: KafkaBroker) -> Mapping[str, tuple[int, Mapping[str, str]]]:
    """Return, by topic without the domain's prefix, how many partitions it has and how it is set up."""
    core = broker._open_core()
    found = {}
    for name, facts in (await core.cluster.metadata(None)).topics.items():
        if name.startswith(core.names.prefix):
            error, said = await core.cluster.ask_any(DescribeTopic(name, ASKED))
            assert not error
            found[name.removeprefix(core.names.prefix)] = len(facts.leaders), said
    return found


async def test_what_they_are_made_with(shared: Server, opened: Open) -> None:
    broker = await opened(f"{shared.url}/?partitions=3&min_insync=1&levels=2&domain=d-{uuid.uuid4().hex}")
    assert await broker.publish([make.envelope()]) == [STORED]
    found = await configs(broker)
    assert {"q.q.high", "q.q.normal", "events", "results", "replies", "dead"} <= set(found)
    assert "q.q.low" not in found
    for name, (_, said) in found.items():
        assert said["message.timestamp.type"] == "CreateTime", name
        assert said["max.message.bytes"] == str(2 << 20), name
        assert said["min.insync.replicas"] == "1", name
        assert said["compression.type"] == "producer", "batches stay as the URL's compression= made them"
        assert said["retention.bytes"] == "-1", name
    for name in ("q.q.high", "q.q.normal"):
        partitions, said = found[name]
        assert (partitions, said["cleanup.policy"], said["retention.ms"]) == (3, "delete", "-1"), (
            "no task is thrown away"
        )
    partitions, said = found["dead"]
    assert (partitions, said["cleanup.policy"], said["retention.ms"]) == (3, "compact,delete", str(30 * DAY))
    partitions, said = found["events"]
    assert (partitions, said["cleanup.policy"]) == (1, "delete"), "it is one log"
    assert found["results"][1]["cleanup.policy"] == "delete"
    assert int(found["results"][1]["retention.ms"]) >= DAY


async def test_what_somebody_else_has_made_stays_as_it_is(shared: Server, opened: Open) -> None:
    domain = uuid.uuid4().hex
    broker = await opened(f"{shared.url}/?partitions=3&levels=1&domain={domain}")
    name = broker._open_core().names.lane(QUEUE, 0)
    made = await broker._open_core().cluster.ask_any(
        CreateTopics([NewTopic(name, 7, -1, {"retention.ms": "5000"})], 5.0)
    )
    assert made[name][0] == 0
    assert await broker.publish([make.envelope()]) == [STORED]
    partitions, said = (await configs(broker))["q.q.normal"]
    assert (partitions, said["retention.ms"]) == (7, "5000")


@pytest.mark.timeout(60)
async def test_told_not_to_make_them_it_says_what_somebody_has_to_run(shared: Server, opened: Open) -> None:
    url = f"{shared.url}/?levels=1&partitions=2&min_insync=1&create_topics=0&domain=d-{uuid.uuid4().hex}"
    broker = await opened(url)
    (answer,) = await broker.publish([make.envelope()])
    assert isinstance(answer, Unknown)
    for call in (broker.open_session([QUEUE], lease=5.0), broker.events.append([b"\x80"])):
        with pytest.raises(BrokerError, match="topics are missing, and the URL says create_topics=0"):
            await call
    commands = re.findall(
        r"kafka-topics\.sh --create --topic (\S+) --partitions (\d+)((?: --config [^\s;]+)*)", str(answer.error)
    )
    assert len(commands) >= 5
    topics = [
        NewTopic(name, int(partitions), -1, dict(one.split("=", 1) for one in re.findall(r"--config ([^\s;]+)", more)))
        for name, partitions, more in commands
    ]
    said = await broker._open_core().cluster.ask_any(CreateTopics(topics, 5.0))
    assert {code for code, _ in said.values()} == {0}
    assert await broker.publish([make.envelope()]) == [STORED], "somebody has run that"
    assert (await configs(broker))["dead"][1]["cleanup.policy"] == "compact,delete"


async def test_more_copies_than_there_are_brokers(shared: Server, opened: Open) -> None:
    broker = await opened(f"{shared.url}/?replication=3&domain=d-{uuid.uuid4().hex}")
    (answer,) = await broker.publish([make.envelope()])
    assert isinstance(answer, Unknown)
    assert re.search("(?i)replication factor", str(answer.error))


@pytest.mark.timeout(120)
async def test_a_cluster_with_three_copies(ground: Ground, opened: Open) -> None:
    brokers = await ground.cluster(3)
    try:
        hosts = ",".join(f"127.0.0.1:{one.port}" for one in brokers)
        broker = await opened(f"kafka://{hosts}/?levels=1&replication=3&min_insync=2")
        assert await broker.publish([make.envelope()]) == [STORED]
        facts = (await broker._open_core().cluster.metadata(None)).topics
        assert {facts[name].replicas for name in facts if name.startswith("orc.")} == {3}
        assert {said["min.insync.replicas"] for _, said in (await configs(broker)).values()} == {"2"}
    finally:
        for one in brokers:
            one.kill()
