"""10,000 tasks end in any order, a session dies in the middle: what it had settled is not repeated, and nothing is lost."""

from __future__ import annotations

import random

import pytest

from orcastra_core.interfaces.session import Session
from orcastra_core.model.broker_url import BrokerUrl
from orcastra_core.model.delivery import Delivery, Want
from orcastra_core.model.envelope import Envelope
from orcastra_core.model.errors import BrokerClosed
from orcastra_core.model.event import Event, EventKind
from orcastra_core.model.ids import IdFactory, TaskId
from orcastra_core.model.names import QueueName, TaskName
from orcastra_core.model.published import STORED
from orcastra_core.model.result import Outcome, Result
from orcastra_core.model.settlement import STALE, Complete, Done
from orcastra_core.serialization.event_codec import encode_event
from orcastra_kafka import KafkaBroker
from orcastra_kafka.classic.session import ClassicSession
from orcastra_kafka.conformance_servers import Server

QUEUE = QueueName("q")
TOTAL = 10_000
EVENT = encode_event(Event(EventKind.COMPLETED, 0.0))


def want(limit: int) -> Want:
    return Want(limit, [(QUEUE, limit)])


def complete(delivery: Delivery) -> Complete:
    return Complete(delivery, Result(delivery.envelope.id, Outcome.COMPLETED, ttl=0.0))


@pytest.mark.timeout(120)
@pytest.mark.parametrize("transactions", [0, 1])
async def test_any_order_and_a_crash(kafka: Server, transactions: int) -> None:
    broker = KafkaBroker(
        BrokerUrl.parse(f"{kafka.url}/?lane=classic&transactions={transactions}&levels=1&partitions=2")
    )
    await broker.open()
    new, rng = IdFactory(), random.Random(7)
    envelopes = [Envelope(new(), QUEUE, TaskName("t"), b"") for _ in range(TOTAL)]
    for first in range(0, TOTAL, 500):
        assert set(await broker.publish(envelopes[first : first + 500])) == {STORED}

    dying = await broker.open_session([QUEUE], lease=1.0)
    assert isinstance(dying, ClassicSession)
    held: list[Delivery] = []
    while len(held) < TOTAL:
        held += await dying.fetch(want(1000), wait=2.0)
    rng.shuffle(held)
    done: set[TaskId] = set()
    number = 0
    while len(done) < TOTAL // 2:
        batch, held = held[:250], held[250:]
        number += 1
        answers = await dying.settle(list(map(complete, batch)), number=number)
        assert all(isinstance(answer, Done) for answer in answers)
        done |= {delivery.envelope.id for delivery in batch}
    await dying.suspend()

    heir = await broker.open_session([QUEUE], lease=1.0)
    number = 0
    while len(done) < TOTAL:
        batch = list(await heir.fetch(want(1000), wait=2.0))
        if not batch:
            continue
        assert not done & {delivery.envelope.id for delivery in batch}, "what was settled is not repeated"
        assert {delivery.counts.lost for delivery in batch} <= {0, 1}
        number += 1
        assert all(isinstance(one, Done) for one in await heir.settle(list(map(complete, batch)), number=number))
        done |= {delivery.envelope.id for delivery in batch}
    assert done == {envelope.id for envelope in envelopes}
    assert set(await dying.settle(list(map(complete, held[:20])), number=999)) == {STALE}, "it is too late"
    await heir.leave()
    await broker.close()


@pytest.mark.timeout(60)
async def test_a_zombie_is_fenced(kafka: Server) -> None:
    """Its transaction is refused as a whole: result, follow-up and event of one that the group has gone on without."""
    broker = KafkaBroker(BrokerUrl.parse(f"{kafka.url}/?lane=classic&transactions=1&levels=1&partitions=1"))
    await broker.open()
    new = IdFactory()
    task, follow_up = (Envelope(new(), QUEUE, TaskName("t"), b"") for _ in range(2))
    await broker.publish([task])

    async def one(session: Session) -> Delivery:
        while not (got := await session.fetch(want(1), wait=5.0)):
            pass
        return got[0]

    zombie = await broker.open_session([QUEUE], lease=1.0)
    assert isinstance(zombie, ClassicSession)
    late = await one(zombie)
    await zombie.suspend()
    heir = await broker.open_session([QUEUE], lease=1.0)
    again = await one(heir)
    assert (again.envelope.id, again.counts.lost) == (task.id, 1)
    result = Result(task.id, Outcome.COMPLETED, value=b"late", ttl=60.0)
    assert list(await zombie.settle([Complete(late, result, emit=[follow_up], events=EVENT)], number=1)) == [STALE]
    assert not isinstance((await broker.results.get([task.id]))[0], Result)
    assert list(await broker.events.read()) == []
    result = Result(task.id, Outcome.COMPLETED, value=b"in time", ttl=60.0)
    (answer,) = await heir.settle([Complete(again, result)], number=1)
    assert isinstance(answer, Done)
    (stored,) = await broker.results.get([task.id])
    assert isinstance(stored, Result)
    assert stored.value == b"in time"
    assert list(await heir.fetch(want(10), wait=0.5)) == [], "the follow-up is not there"
    await heir.leave()

    # its next transaction has nothing of the refused one in it
    await zombie.resume()
    other = Envelope(new(), QUEUE, TaskName("t"), b"")
    await broker.publish([other])
    delivery = await one(zombie)
    assert delivery.envelope.id == other.id
    (answer,) = await zombie.settle([Complete(delivery, Result(other.id, Outcome.COMPLETED, ttl=60.0))], number=2)
    assert isinstance(answer, Done)
    assert (await broker.results.get([task.id])) == [stored]
    assert [entry.event.kind for entry in await broker.events.read()] == [EventKind.LOST]
    assert list(await zombie.fetch(want(10), wait=0.5)) == [], "the follow-up is not there"
    await broker.close()


@pytest.mark.timeout(60)
@pytest.mark.parametrize("part, method", [("_fetcher", "_get_actions_per_node"), ("_coordinator", "need_rejoin")])
async def test_a_reader_that_fails_ends_its_session(kafka: Server, part: str, method: str) -> None:
    """A session that goes on beating would keep partitions that nobody reads."""
    broker = KafkaBroker(BrokerUrl.parse(f"{kafka.url}/?lane=classic&levels=1&partitions=1"))
    await broker.open()
    session = await broker.open_session([QUEUE], lease=5.0)
    assert isinstance(session, ClassicSession)
    assert list(await session.fetch(want(1), wait=0.0)) == []
    engine = session._engine
    assert engine is not None

    def broken(*_: object) -> None:
        raise ZeroDivisionError("a bug of the client's")

    async def spoil() -> None:
        member = engine._members[QUEUE]
        setattr(getattr(member._consumer, part), method, broken)
        member.join_again()

    await session._io.call(spoil)
    with pytest.raises(BrokerClosed):
        await session.fetch(want(1), wait=30.0)
    with pytest.raises(BrokerClosed):
        await session.held()
    await session.leave()
    await broker.close()
