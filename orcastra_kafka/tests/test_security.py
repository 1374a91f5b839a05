"""Logins, TLS and permissions: what the guide lists is enough, and who lacks some is told what."""

from __future__ import annotations

import asyncio
import logging
import re
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from kafka_rig import Open
from kafka_rig.guarded import CLUSTER, GROUP, TOPIC, TRANSACTIONAL_ID, Guarded, guarded
from server_rig import QUEUE, make, want

from orcastra_core.interfaces.session import Session
from orcastra_core.model.delivery import Delivery
from orcastra_core.model.errors import AuthenticationFailed, BrokerUnavailable, InvalidOption
from orcastra_core.model.event import EventKind
from orcastra_core.model.published import STORED, Unknown
from orcastra_core.model.result import Absence
from orcastra_core.model.settlement import Done
from orcastra_kafka import KafkaBroker
from orcastra_kafka.conformance_servers import Ground, Server
from orcastra_kafka.protocol.topics import CreateTopics, NewTopic
from orcastra_kafka.share.groups import AlterGroupConfig
from orcastra_kafka.upkeep import trim

GUIDE = Path(__file__).parents[2] / "docs" / "guides" / "kafka.md"
KINDS = {"topic": TOPIC, "group": GROUP, "transactional-id": TRANSACTIONAL_ID, "cluster": CLUSTER}
LANES = ["lane=share", "lane=classic", "lane=classic&transactions=1"]


@pytest.fixture(scope="module")
def broker(ground: Ground, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    there = asyncio.run(guarded(ground, tmp_path_factory.mktemp("certificates")))
    yield there
    there.server.kill()


def listed(who: str) -> list[tuple[int, str, list[str]]]:
    """Return what the guide has somebody allowed: the kind of thing, its name, and the operations."""
    found = []
    for line in GUIDE.read_text().splitlines():
        if line.startswith("kafka-acls.sh") and f"--allow-principal User:{who} " in line:
            ((kind, name),) = re.findall(rf"--({'|'.join(KINDS)})(?: ([^-\s]\S*))?", line)
            found.append((KINDS[kind], name, re.findall(r"--operation (\w+)", line)))
    return found


async def allow_as_listed(broker: Guarded, who: str, domain: str, *, without: str = "", as_: str = "worker") -> None:
    for kind, name, operations in listed(who):
        name = name.replace("orc.orcastra.", f"orc.{domain}.")
        await broker.allow(
            as_, kind, name or "kafka-cluster", [one for one in operations if one != without], prefix=bool(name)
        )


async def fetched(session: Session, number: int) -> list[Delivery]:
    found: list[Delivery] = []
    while len(found) < number:
        found += await session.fetch(want(number - len(found)), wait=5.0)
    return found


async def works(one: KafkaBroker) -> None:
    """Everything that a worker does."""
    session = await one.open_session([QUEUE], lease=5.0)
    first, second, third = envelopes = [make.envelope() for _ in range(3)]
    assert await one.publish(envelopes, events=[make.event(EventKind.SUBMITTED)] * 3) == [STORED] * 3
    by_id = {delivery.envelope.id: delivery for delivery in await fetched(session, 3)}
    answers = await session.settle(
        [make.complete(by_id[first.id], b"\x18\x2a"), make.dead(by_id[second.id]), make.retry(by_id[third.id])],
        number=1,
    )
    assert [type(answer) for answer in answers] == [Done] * 3
    (again,) = await fetched(session, 1)
    assert (again.envelope.id, again.counts.attempt) == (third.id, 1)
    (result,) = await one.results.get([first.id])
    assert not isinstance(result, Absence)
    assert await one.dead_letters.replay([second.id]) == [STORED]
    left = await fetched(session, 1) + [again]
    assert await session.settle([make.complete(one) for one in left], number=2) == [Done()] * 2
    feed = await one.results.subscribe()
    await feed.close()
    await one.events.read()
    await one.events.trim(keep=0)
    await one.results.prune(limit=10)
    assert await trim(one._open_core()) >= 0
    deferred = make.schedule("later", time.time() - 1)
    await one.scheduler.add([deferred])
    assert (await one.scheduler.promote(one, limit=10, plan=make.plan)).done == 1
    (fired,) = await fetched(session, 1)
    assert await session.settle([make.complete(fired)], number=3) == [Done()]
    await session.leave()


@pytest.mark.timeout(120)
@pytest.mark.parametrize("lane", LANES)
async def test_what_the_guide_lists_is_enough(broker: Guarded, opened: Open, lane: str) -> None:
    domain = uuid.uuid4().hex[:12]
    await allow_as_listed(broker, "worker", domain)
    one = await opened(f"{broker.url('worker', domain=domain)}&{lane}")
    assert one._open_core().facts is not None
    await works(one)
    if lane == "lane=share":
        assert await one.publish([make.envelope()]) == [STORED]
        assert await one.purge(QUEUE) >= 1


@pytest.mark.timeout(60)
async def test_a_client_needs_less(broker: Guarded, opened: Open) -> None:
    domain = uuid.uuid4().hex[:12]
    await allow_as_listed(broker, "worker", domain)
    await works(await opened(broker.url("worker", domain=domain)))  # makes the topics
    await allow_as_listed(broker, "client", domain, as_="client")
    one = await opened(broker.url("client", domain=domain))
    envelope = make.envelope()
    assert await one.publish([envelope], events=[make.event(EventKind.SUBMITTED)]) == [STORED]
    feed = await one.results.subscribe()
    await feed.close()
    assert await one.results.get([envelope.id]) == [Absence.PENDING]
    with pytest.raises(AuthenticationFailed):
        await one.open_session([QUEUE], lease=20.0)


@pytest.mark.timeout(60)
async def test_who_may_not_make_topics_is_told_what_somebody_has_to_run(broker: Guarded, opened: Open) -> None:
    domain = uuid.uuid4().hex[:12]
    await allow_as_listed(broker, "worker", domain, without="Create")
    one = await opened(broker.url("worker", domain=domain))
    (answer,) = await one.publish([make.envelope()])
    assert isinstance(answer, Unknown)
    assert isinstance(answer.error, AuthenticationFailed)
    said = str(answer.error)
    assert f"allow Create on topics that begin with orc.{domain}., or have somebody run: kafka-topics.sh" in said
    commands = re.findall(r"kafka-topics\.sh --create --topic (\S+) --partitions (\d+)((?: --config [^\s;]+)*)", said)
    topics = [
        NewTopic(
            name, int(partitions), -1, dict(config.split("=", 1) for config in re.findall(r"--config ([^\s;]+)", more))
        )
        for name, partitions, more in commands
    ]
    assert {code for code, _ in (await broker.ask(CreateTopics(topics, 5.0))).values()} == {0}
    await works(one)


@pytest.mark.timeout(60)
async def test_who_may_not_set_groups_up_is_told_what_somebody_has_to_run(broker: Guarded, opened: Open) -> None:
    domain = uuid.uuid4().hex[:12]
    await allow_as_listed(broker, "worker", domain, without="AlterConfigs")
    one = await opened(broker.url("worker", domain=domain))
    with pytest.raises(AuthenticationFailed) as refused:
        await one.open_session([QUEUE], lease=5.0)
    (found,) = re.findall(
        r"kafka-configs\.sh --bootstrap-server \S+ --alter --entity-type groups --entity-name (\S+) --add-config (\S+)$",
        str(refused.value),
    )
    configs = dict(config.split("=", 1) for config in found[1].split(","))
    assert configs["share.record.lock.duration.ms"] == "5000"
    assert (await broker.ask(AlterGroupConfig(found[0], configs))).error == 0
    await works(one)


@pytest.mark.timeout(60)
async def test_a_stranger(broker: Guarded, opened: Open) -> None:
    one = await opened(broker.url("stranger"))
    (answer,) = await one.publish([make.envelope()])
    assert isinstance(answer, Unknown)
    assert isinstance(answer.error, AuthenticationFailed)
    assert "not allowed" in str(answer.error)
    with pytest.raises(AuthenticationFailed, match="not allowed"):
        await one.open_session([QUEUE], lease=20.0)
    with pytest.raises(AuthenticationFailed):
        await one.events.read()
    with pytest.raises(AuthenticationFailed):
        await one.dead_letters.page()


@pytest.mark.timeout(60)
@pytest.mark.parametrize("mechanism", ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"])
@pytest.mark.parametrize("lane", ["share", "classic"])
async def test_mechanisms(
    broker: Guarded, opened: Open, mechanism: str, lane: str, caplog: pytest.LogCaptureFixture
) -> None:
    domain = uuid.uuid4().hex[:12]
    await broker.know("worker")
    await allow_as_listed(broker, "worker", domain)
    with caplog.at_level(logging.DEBUG):
        url = broker.url("worker", domain=domain, lane=lane, sasl_mechanism=mechanism)
        await works(await opened(url))
        with pytest.raises(AuthenticationFailed, match="are user and password in the URL right") as refused:
            await opened(url.replace("worker-pw", "wrong-pw"))
    assert "wrong-pw" not in str(refused.value) + repr(refused.value.__cause__)
    assert not [record for record in caplog.records if "-pw" in record.getMessage()]


@pytest.mark.timeout(60)
@pytest.mark.parametrize("lane", LANES)
async def test_tls(broker: Guarded, opened: Open, lane: str) -> None:
    files, domain, other = broker.files, uuid.uuid4().hex[:12], uuid.uuid4().hex[:12]
    await allow_as_listed(broker, "worker", domain)
    await allow_as_listed(broker, "worker", other, as_="CN=worker")
    common = f"{lane}&levels=1&partitions=1&tls_ca={files.ca}"
    login = f"security_protocol=sasl_ssl&{common}&domain={domain}"
    await works(await opened(f"kafka://worker:worker-pw@localhost:{broker.tls}/?{login}"))
    ours = f"security_protocol=ssl&{common}&domain={other}&tls_cert={files.cert}&tls_key={files.key}"
    await works(await opened(f"kafka://localhost:{broker.mutual}/?{ours}"))
    await opened(f"kafka://worker:worker-pw@127.0.0.1:{broker.tls}/?{login}&tls_check_hostname=0")


@pytest.mark.timeout(60)
@pytest.mark.parametrize(
    "url, said",
    [
        ("kafka://worker:worker-pw@localhost:{tls}/?security_protocol=sasl_ssl&tls_ca={other}", "tls_ca=<file> names the authority"),
        ("kafka://worker:worker-pw@localhost:{tls}/?security_protocol=sasl_ssl", "its certificate is not accepted: .*; tls_ca="),
        ("kafka://worker:worker-pw@127.0.0.1:{tls}/?security_protocol=sasl_ssl&tls_ca={ca}", "call the host what the certificate calls it"),
        ("kafka://localhost:{mutual}/?security_protocol=ssl&tls_ca={ca}", "(?i)tls_cert=|does it want a login"),
        ("kafka://localhost:{tls}/", "does it want a login or TLS at this port"),
        ("kafka://localhost:{sasl}/", "does it want a login or TLS at this port"),
        ("kafka://worker:worker-pw@localhost:{plain}/?security_protocol=sasl_ssl&tls_ca={ca}", "does it speak TLS at this port|Connection reset"),
        ("kafka://localhost:1/", "Connection refused; does a broker run, and listen there"),
    ],
    ids=["another authority", "the system's", "another name", "no certificate", "no TLS", "no login", "no TLS there", "nobody"],
)  # fmt: skip
async def test_what_does_not_hold(broker: Guarded, opened: Open, url: str, said: str) -> None:
    files = broker.files
    ports = {"tls": broker.tls, "mutual": broker.mutual, "sasl": broker.sasl, "plain": broker.server.port}
    with pytest.raises(BrokerUnavailable, match=said) as refused:
        await opened(
            url.format(ca=files.ca, other=files.other, **ports) + ("&" if "?" in url else "?") + "connect_timeout=4"
        )
    assert "worker-pw" not in str(refused.value)


@pytest.mark.parametrize(
    "parameters, said",
    [
        ("tls_ca=x", "tls_ca needs security_protocol=ssl or sasl_ssl"),
        ("security_protocol=ssl&tls_key=x", "tls_key needs tls_cert"),
        ("security_protocol=sasl_ssl", "needs a user and a password"),
        ("security_protocol=kerberos", "security_protocol.*expected one of PLAINTEXT, SSL, SASL_PLAINTEXT, SASL_SSL"),
        ("sasl_mechanism=GSSAPI", "sasl_mechanism.*expected one of PLAIN, SCRAM-SHA-256, SCRAM-SHA-512"),
        ("lane=share&transactions=1", "transactions=1 is for lane=classic"),
    ],
)
async def test_parameters_that_do_not_go_together(opened: Open, parameters: str, said: str) -> None:
    with pytest.raises(InvalidOption, match=said):
        await opened(f"kafka://localhost/?{parameters}")


@pytest.mark.parametrize("parameters, said", [("tls_ca=none.pem", "tls_ca=none.pem: there is no such file")])
async def test_files_that_are_not_there(opened: Open, parameters: str, said: str) -> None:
    with pytest.raises(InvalidOption, match=said):
        await opened(f"kafka://localhost/?security_protocol=ssl&{parameters}")


@pytest.mark.timeout(60)
@pytest.mark.parametrize(
    "lane, setting", [("share", "group.share.min.record.lock.duration.ms"), ("classic", "group.min.session.timeout.ms")]
)
async def test_a_lease_below_the_brokers_least(shared: Server, opened: Open, lane: str, setting: str) -> None:
    one = await opened(f"{shared.url}/?lane={lane}&domain=d-{uuid.uuid4().hex}")
    with pytest.raises(InvalidOption, match=re.escape(setting)):
        await one.open_session([QUEUE], lease=0.2)
