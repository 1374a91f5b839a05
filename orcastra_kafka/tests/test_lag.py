"""How far workers are behind, by level, in either lane; and `orcastra kafka lag`, which tells."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
import uuid

import pytest
from kafka_rig import Open
from server_rig import QUEUE, make, want

from orcastra_core.interfaces.session import Session
from orcastra_core.model.delivery import Delivery
from orcastra_core.model.errors import InvalidOption
from orcastra_core.model.published import STORED
from orcastra_core.model.schedule import ScheduleId
from orcastra_core.model.settlement import Done
from orcastra_kafka import KafkaBroker
from orcastra_kafka.conformance_servers import Server
from orcastra_kafka.lag import QueueLag, lag_of


async def orcastra(*words: str) -> subprocess.CompletedProcess[str]:
    """Run the command line."""
    command = [sys.executable, "-m", "orcastra_core.cli", *words]
    return await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True, check=False, timeout=60)


async def lag(broker: KafkaBroker, *queues: str) -> list[QueueLag]:
    return list(await lag_of(broker._open_core(), queues))


async def fetched(session: Session, number: int) -> list[Delivery]:
    found: list[Delivery] = []
    while len(found) < number:
        found += await session.fetch(want(number - len(found)), wait=5.0)
    return found


@pytest.mark.timeout(120)
@pytest.mark.parametrize("lane", ["share", "classic"])
async def test_lag(shared: Server, opened: Open, lane: str) -> None:
    url = f"{shared.url}/?lane={lane}&levels=2&domain=d-{uuid.uuid4().hex}"
    broker = await opened(url)
    assert await lag(broker) == []
    assert set(await broker.publish([make.envelope() for _ in range(10)])) == {STORED}
    assert set(await broker.publish([make.envelope(priority=1) for _ in range(5)])) == {STORED}
    assert set(await broker.publish([make.envelope("a.other/queue")])) == {STORED}
    mine, other = QueueLag(QUEUE, {"high": 5, "normal": 10}), QueueLag("a.other/queue", {"high": 0, "normal": 1})
    assert await lag(broker) == [other, mine], "nobody has begun"

    session = await broker.open_session([QUEUE], lease=5.0)
    running = await fetched(session, 15)
    assert await lag(broker, QUEUE) == [mine], "what runs is not done"
    running.sort(
        key=lambda delivery: delivery.envelope.id, reverse=True
    )  # the last first: the watermark stays where it is
    normal = [delivery for delivery in running if getattr(delivery.envelope, "priority", 0) == 0]
    done = [make.complete(delivery) for delivery in normal[:4]]
    assert all(isinstance(answer, Done) for answer in await session.settle(done, number=1))
    assert await lag(broker, QUEUE) == [QueueLag(QUEUE, {"high": 5, "normal": 6})]
    rest = [delivery for delivery in running if delivery not in normal[:4]]
    assert all(isinstance(answer, Done) for answer in await session.settle([make.dead(one) for one in rest], number=2))
    assert await lag(broker, QUEUE, QUEUE) == [QueueLag(QUEUE, {"high": 0, "normal": 0}, dead=11)]
    await session.leave()
    await broker.scheduler.add([make.schedule(name, time.time() + 3600) for name in ("one", "other")])
    await broker.scheduler.remove([ScheduleId("one")])
    with pytest.raises(InvalidOption, match=r"has no queue 'p'; there are: a\.other/queue, q"):
        await lag(broker, "p")

    told = await orcastra("kafka", "lag", "--json", "--url", url)
    assert (told.returncode, told.stderr) == (0, "")
    assert [json.loads(line) for line in told.stdout.splitlines()] == [
        {"queue": "a.other/queue", "levels": {"high": 0, "normal": 1}, "dead": 0, "scheduled": 0},
        {"queue": "q", "levels": {"high": 0, "normal": 0}, "dead": 11, "scheduled": 1},
    ]
    told = await orcastra("kafka", "lag", "q", "--url", url)
    assert told.stdout.splitlines() == [
        "queue  high  normal  low  dead  scheduled",
        "q         0       0         11          1",
    ]


@pytest.mark.timeout(60)
async def test_what_the_command_says_where_there_is_nothing_to_count(shared: Server) -> None:
    url = f"{shared.url}/?domain=d-{uuid.uuid4().hex}"
    told = await orcastra("kafka", "lag", "--url", url)
    assert (told.returncode, told.stdout) == (0, "no queues\n")
    for words, said in (
        (["q", "--url", url], "has no queue 'q'; there are: none"),
        (["--url", "redis://127.0.0.1"], "redis://127.0.0.1: only a kafka:// URL has lag"),
        (["--url", "kafka://127.0.0.1:1/?connect_timeout=2"], "kafka at 127.0.0.1:1: Connection refused"),
        (["--url", f"{shared.url}/?lag=1"], "lag"),
    ):
        told = await orcastra("kafka", "lag", *words)
        assert told.returncode == 1, told
        assert said in told.stderr
        assert "Traceback" not in told.stderr
    assert (await orcastra("kafka", "lag")).returncode == 2
