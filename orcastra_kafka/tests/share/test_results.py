"""Results in their log: what a look-up reads, and a feed that goes on."""

from __future__ import annotations

import asyncio

import pytest

from orcastra_core.model.errors import BrokerUnavailable
from orcastra_core.model.ids import IdFactory, TaskId
from orcastra_core.model.result import Absence, Outcome, Result
from orcastra_kafka import KafkaBroker, logs, result_index
from orcastra_kafka.core import Core
from orcastra_kafka.protocol.log import LATEST, Page
from orcastra_kafka.share.metadata import TopicFacts

pytestmark = pytest.mark.kafka


def result(task_id: TaskId, value: bytes = b"x") -> Result:
    return Result(task_id, Outcome.COMPLETED, value)


async def values(broker: KafkaBroker, *ids: TaskId) -> list[bytes | Absence]:
    """Look up results; return what they hold."""
    return [found.value if isinstance(found, Result) else found for found in await broker.results.get(ids)]


async def cut_all(core: Core, name: str) -> TopicFacts:
    """Drop what a topic of one partition has."""
    topic = await core.cluster.topic(name)
    await logs.cut(core, topic, {0: await logs.offset_at(core, topic, 0, LATEST)})
    return topic


async def test_a_look_up_reads_each_record_once(broker: KafkaBroker, monkeypatch: pytest.MonkeyPatch) -> None:
    new = IdFactory()
    ids = [new() for _ in range(500)]
    await broker.results.put([(result(task_id), None) for task_id in ids])
    read: list[int] = []
    page = logs.page

    async def counted(core: Core, topic: TopicFacts, partition: int, at: int, *, most: int = logs.PAGE) -> Page | None:
        found = await page(core, topic, partition, at, most=most)
        read.append(len(logs.entries_of(found, at)) if found is not None else 0)
        return found

    monkeypatch.setattr(logs, "page", counted)
    unknown = new()
    assert await values(broker, unknown) == [Absence.PENDING]
    assert sum(read) == 500, "from the moment of the first id that is asked for, less what clocks may differ"
    read.clear()
    assert await values(broker, unknown) == [Absence.PENDING]
    assert read == [0], "one question, and nothing new"
    await broker.results.put([(result(unknown, b"late"), None)])
    read.clear()
    assert await values(broker, unknown) == [b"late"]
    assert read == [1, 0]


async def test_what_the_index_has_let_go_is_found_all_the_same(
    broker: KafkaBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(result_index, "KEPT", 20)
    monkeypatch.setattr(result_index, "_PAGE", 1000)
    new = IdFactory()
    ids = [new() for _ in range(100)]
    for task_id in ids:
        await broker.results.put([(result(task_id, task_id.encode()), None)])
    assert await values(broker, ids[-1]) == [ids[-1].encode()]
    (index,) = broker.results._indexes  # type: ignore[attr-defined]
    assert len(index._places) < 60
    some = [ids[0], ids[50], ids[99]]
    assert await values(broker, *some) == [task_id.encode() for task_id in some]


async def test_what_was_cut_off_is_not_found(broker: KafkaBroker) -> None:
    (task_id, later) = (IdFactory()(), IdFactory()())
    await broker.results.put([(result(task_id), None)])
    assert await values(broker, task_id) == [b"x"]
    core = broker._open_core()
    await cut_all(core, core.names.results)
    assert await values(broker, task_id) == [Absence.PENDING]
    await broker.results.put([(result(later), None)])
    assert await values(broker, task_id, later) == [Absence.PENDING, b"x"]


async def test_a_feed_that_was_overtaken_goes_on(broker: KafkaBroker) -> None:
    """What it follows was cut off behind its back, by its retention for example."""
    feed = await broker.results.subscribe()
    new = IdFactory()
    missed, heard = new(), new()
    core = broker._open_core()
    feed._task.cancel()  # type: ignore[attr-defined]
    await asyncio.wait([feed._task])  # type: ignore[attr-defined]
    await broker.results.put([(result(missed), feed.channel)])
    await cut_all(core, core.names.replies)
    feed.start()  # type: ignore[attr-defined]
    await broker.results.put([(result(heard), feed.channel)])
    async with asyncio.timeout(10):
        while not (got := await feed.next(wait=1.0)):
            pass
    assert [one.id for one in got] == [heard]
    await feed.close()


async def test_a_feed_outlives_its_topic(broker: KafkaBroker) -> None:
    """Somebody removed the topic, and it was made anew: nothing is followed at an offset that means something else."""
    feed = await broker.results.subscribe()
    core = broker._open_core()
    before = feed._topic  # type: ignore[attr-defined]
    feed._topic = TopicFacts(0, before.name, bytes(15) + b"x", before.leaders, before.replicas)  # type: ignore[attr-defined]
    feed._offset = 1000  # type: ignore[attr-defined]
    feed._task.cancel()  # type: ignore[attr-defined]
    await asyncio.wait([feed._task])  # type: ignore[attr-defined]
    feed.start()  # type: ignore[attr-defined]
    task_id = IdFactory()()
    await core.ensure_results()
    await broker.results.put([(result(task_id), feed.channel)])
    heard: list[TaskId] = []
    async with asyncio.timeout(10):
        while not heard:
            try:
                heard += [one.id for one in await feed.next(wait=1.0)]
            except BrokerUnavailable:
                continue  # it says that something may have been missed
    assert heard == [task_id]
    await feed.close()
