"""Dead letters: replayed once, however many want to, and whatever happens meanwhile."""

from __future__ import annotations

import asyncio
import uuid
from collections import Counter
from contextlib import suppress

import pytest
from kafka_rig import Open
from server_rig import QUEUE, make, want

from orcastra_core.interfaces.session import Session
from orcastra_core.model.delivery import Delivery
from orcastra_core.model.envelope import Unreadable
from orcastra_core.model.event import Event, EventKind
from orcastra_core.model.ids import TaskId
from orcastra_core.model.published import STORED, Refused
from orcastra_core.model.result import Absence
from orcastra_core.model.settlement import Done
from orcastra_kafka import KafkaBroker
from orcastra_kafka.conformance_servers import Server
from orcastra_kafka.producer import Record
from orcastra_kafka.protocol.transactions import EndTransaction
from orcastra_kafka.share.wire import Request
from orcastra_kafka.transaction import Fenced, Transactions

LANES = ["lane=share", "lane=classic", "lane=classic&transactions=1"]


async def fetched(session: Session, number: int) -> list[Delivery]:
    found: list[Delivery] = []
    while len(found) < number:
        found += await session.fetch(want(number - len(found)), wait=5.0)
    return found


async def buried(broker: KafkaBroker, number: int) -> list[TaskId]:
    """Have so many tasks die."""
    session = await broker.open_session([QUEUE], lease=5.0)
    assert set(await broker.publish([make.envelope() for _ in range(number)])) == {STORED}
    dying = await fetched(session, number)
    answers = await session.settle([make.dead(delivery, "no more") for delivery in dying], number=1)
    assert all(isinstance(answer, Done) for answer in answers)
    await session.leave()
    return sorted(delivery.envelope.id for delivery in dying)


@pytest.mark.timeout(120)
@pytest.mark.parametrize("lane", LANES)
async def test_many_replay_the_same_and_each_runs_once(shared: Server, opened: Open, lane: str) -> None:
    url = f"{shared.url}/?{lane}&levels=1&domain=d-{uuid.uuid4().hex}"
    brokers = [await opened(url) for _ in range(4)]
    ids = await buried(brokers[0], 40)
    told = [make.event(EventKind.REPLAYED, task_id) for task_id in ids]

    async def replay(broker: KafkaBroker) -> list[object]:
        return list(await broker.dead_letters.replay(ids, events=told))

    answers = await asyncio.gather(*(replay(broker) for broker in brokers))
    for place, task_id in enumerate(ids):
        said = [answer[place] for answer in answers]
        assert sorted(map(str, said)) == sorted(map(str, [STORED, None, None, None])), f"{task_id}: {said}"
    assert await brokers[1].dead_letters.page() == []
    assert all(isinstance(one, Absence) for one in await brokers[2].results.get(ids)), "what failed is forgotten"
    session = await brokers[3].open_session([QUEUE], lease=5.0)
    assert sorted(delivery.envelope.id for delivery in await fetched(session, 40)) == ids
    assert list(await session.fetch(want(10), wait=0.5)) == []
    await session.leave()
    events = await _events(brokers[0])
    assert Counter(one.task_id for one in events if one.kind is EventKind.REPLAYED) == dict.fromkeys(ids, 1)


@pytest.mark.timeout(120)
async def test_replayed_or_purged_but_not_both(shared: Server, opened: Open) -> None:
    url = f"{shared.url}/?levels=1&domain=d-{uuid.uuid4().hex}"
    one, other = await opened(url), await opened(url)
    ids = await buried(one, 60)
    replayed, purged = await asyncio.gather(one.dead_letters.replay(ids), other.dead_letters.purge(limit=100))
    assert replayed.count(STORED) + purged == 60
    assert set(replayed) <= {STORED, None}
    session = await one.open_session([QUEUE], lease=5.0)
    assert len(await fetched(session, replayed.count(STORED))) == replayed.count(STORED)
    assert list(await session.fetch(want(10), wait=0.5)) == []
    await session.leave()


@pytest.mark.timeout(120)
async def test_they_outlive_the_broker(kafka: Server, opened: Open) -> None:
    broker = await opened(f"{kafka.url}/?levels=1")
    ids = await buried(broker, 5)
    await kafka.restart()
    again = await opened(f"{kafka.url}/?levels=1")
    assert [letter.id for letter in await again.dead_letters.page()] == ids
    assert await again.dead_letters.replay(ids) == [STORED] * 5


@pytest.mark.timeout(60)
@pytest.mark.parametrize("lane", LANES)
async def test_somebody_elses_records(shared: Server, opened: Open, lane: str) -> None:
    """Whatever lies in a queue's topic goes to the dead letters, once and intact, and its neighbours run."""
    broker = await opened(f"{shared.url}/?{lane}&levels=1&domain=d-{uuid.uuid4().hex}")
    session = await broker.open_session([QUEUE], lease=5.0)
    core = broker._open_core()
    topic = core.names.lane(QUEUE, 0)
    strange = [(None, b"{}"), (b"key", b"{}"), (b"k" * 16, b"\xff\x00"), (b"x", b"")]
    assert await core.producer.send([Record(topic, key, value) for key, value in strange]) == [None] * 4
    neighbour = make.envelope()
    assert await broker.publish([neighbour]) == [STORED]
    there = await fetched(session, 5)
    batch = [
        make.dead(one, "unreadable") if isinstance(one.envelope, Unreadable) else make.complete(one) for one in there
    ]
    assert all(isinstance(answer, Done) for answer in await session.settle(batch, number=1))
    await session.leave()
    letters = await broker.dead_letters.page()
    assert Counter(letter.envelope.raw for letter in letters if isinstance(letter.envelope, Unreadable)) == Counter(
        value for _, value in strange
    )
    assert all(isinstance(one, Refused) for one in await broker.dead_letters.replay([letter.id for letter in letters]))
    assert len(await broker.dead_letters.page()) == 4


@pytest.mark.timeout(60)
async def test_who_begins_fences_whoever_did_before(shared: Server, opened: Open) -> None:
    broker = await opened(f"{shared.url}/?levels=1&domain=d-{uuid.uuid4().hex}")
    core = broker._open_core()
    await core.ensure_events()
    first, second = [Transactions(core.cluster, f"{core.names.prefix}test", timeout=5.0) for _ in range(2)]
    await first.begin()
    await second.begin()
    with pytest.raises(Fenced):
        await first.commit([Record(core.names.events, None, make.event(EventKind.DEAD))])
    assert await broker.events.read() == []
    await second.commit([Record(core.names.events, None, make.event(EventKind.RETRIED))])
    await second.commit([Record(core.names.events, None, make.event(EventKind.COMPLETED))])
    assert [event.kind for event in await _events(broker)] == [EventKind.RETRIED, EventKind.COMPLETED]


@pytest.mark.timeout(60)
async def test_a_commit_whose_answer_is_lost(shared: Server, opened: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    broker = await opened(f"{shared.url}/?levels=1&domain=d-{uuid.uuid4().hex}")
    ids = await buried(broker, 3)
    asked = Transactions._ask
    lost: list[object] = []

    async def ask(self: Transactions, request: Request[object]) -> object:
        answer = await asked(self, request)
        if isinstance(request, EndTransaction) and not lost:
            lost.append(request)
            raise ConnectionResetError("the answer is lost")
        return answer

    monkeypatch.setattr(Transactions, "_ask", ask)
    assert await broker.dead_letters.replay(ids) == [STORED] * 3
    assert lost
    session = await broker.open_session([QUEUE], lease=5.0)
    assert sorted(one.envelope.id for one in await fetched(session, 3)) == ids
    assert list(await session.fetch(want(10), wait=0.5)) == []
    await session.leave()


@pytest.mark.timeout(60)
async def test_what_is_given_up_in_the_middle_takes_place_wholly_or_not_at_all(shared: Server, opened: Open) -> None:
    broker = await opened(f"{shared.url}/?levels=1&domain=d-{uuid.uuid4().hex}")
    ids = await buried(broker, 12)
    answered = 0
    for number, task_id in enumerate(ids):
        with suppress(TimeoutError):
            async with asyncio.timeout(0.003 * number):
                answered += await broker.dead_letters.replay([task_id]) == [STORED]
    left = {letter.id for letter in await broker.dead_letters.page()}
    session = await broker.open_session([QUEUE], lease=5.0)
    assert answered <= len(ids) - len(left)
    again = {one.envelope.id for one in await fetched(session, len(ids) - len(left))}
    assert again == set(ids) - left
    assert list(await session.fetch(want(10), wait=0.5)) == []
    await session.leave()


async def _events(broker: KafkaBroker) -> list[Event]:
    return [entry.event for entry in await broker.events.read(limit=10_000)]
