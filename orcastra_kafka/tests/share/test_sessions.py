"""Sessions of the share lane: who gets work, who is told of a loss, and who writes down that it happened."""

from __future__ import annotations

import asyncio

import pytest

from orcastra_core.interfaces.session import Session
from orcastra_core.model.counts import Counts
from orcastra_core.model.delivery import Delivery, Want
from orcastra_core.model.envelope import Envelope
from orcastra_core.model.errors import BrokerUnavailable, InvalidOption, SessionFenced
from orcastra_core.model.event import EventKind
from orcastra_core.model.ids import IdFactory
from orcastra_core.model.names import QueueName, TaskName
from orcastra_core.model.published import STORED
from orcastra_core.model.queue import QueueSpec
from orcastra_core.model.result import Outcome, Result
from orcastra_core.model.session import Fenced
from orcastra_core.model.settlement import STALE, Complete, Done
from orcastra_kafka import KafkaBroker
from orcastra_kafka.session_share import ShareSession

pytestmark = pytest.mark.kafka

QUEUE = QueueName("q")


async def publish(broker: KafkaBroker, number: int) -> list[Envelope]:
    new = IdFactory()
    envelopes = [Envelope(new(), QUEUE, TaskName("t"), b"") for _ in range(number)]
    assert set(await broker.publish(envelopes)) == {STORED}
    return envelopes


async def take(session: Session, number: int) -> list[Delivery]:
    taken: list[Delivery] = []
    async with asyncio.timeout(10):
        while len(taken) < number:
            left = number - len(taken)
            taken += await session.fetch(Want(left, [(QUEUE, left)]), wait=1.0)
    return taken


def complete(delivery: Delivery) -> Complete:
    return Complete(delivery, Result(delivery.envelope.id, Outcome.COMPLETED, ttl=0.0))


async def session_of(broker: KafkaBroker) -> ShareSession:
    session = await broker.open_session([QUEUE], lease=1.0)
    assert isinstance(session, ShareSession)
    return session


async def test_four_sessions_on_one_partition_all_get_work(broker: KafkaBroker) -> None:
    envelopes = await publish(broker, 40)
    sessions = [await session_of(broker) for _ in range(4)]
    async with asyncio.TaskGroup() as group:
        taking = [group.create_task(take(session, 10)) for session in sessions]
    taken = [delivery.envelope for task in taking for delivery in task.result()]
    assert {envelope.id for envelope in taken} == {envelope.id for envelope in envelopes}
    for session, task in zip(sessions, taking, strict=True):
        answers = await session.settle([complete(delivery) for delivery in task.result()], number=1)
        assert all(isinstance(answer, Done) for answer in answers)
        await session.leave()


async def test_a_lock_that_ran_out_fences_the_session(broker: KafkaBroker) -> None:
    await publish(broker, 2)
    stopped, heir = await session_of(broker), await session_of(broker)
    held = await take(stopped, 2)
    await stopped.suspend()
    got = await take(heir, 2)
    assert {delivery.counts for delivery in got} == {Counts(0, 1, 0)}
    await stopped.resume()
    assert await stopped.signals(wait=5.0) == [Fenced()]
    with pytest.raises(BrokerUnavailable, match="lost what it held"):
        await stopped.fetch(Want(1, [(QUEUE, 1)]), wait=0)
    with pytest.raises(SessionFenced):
        await stopped.fetch(Want(1, [(QUEUE, 1)]), wait=0)
    assert await stopped.settle([complete(delivery) for delivery in held], number=1) == [STALE, STALE]
    assert all(isinstance(one, Done) for one in await heir.settle([complete(one) for one in got], number=1))


async def test_the_heir_writes_down_what_was_lost(broker: KafkaBroker) -> None:
    (envelope,) = await publish(broker, 1)
    for lost in range(2):
        session = await session_of(broker)
        (delivery,) = await take(session, 1)
        assert delivery.counts == Counts(0, lost, 0)
        await session.drop()  # as a process dies: nobody says a word
    heir = await session_of(broker)
    (delivery,) = await take(heir, 1)
    await heir.settle([complete(delivery)], number=1)
    events = [entry.event for entry in await broker.events.read()]
    assert [(event.kind, event.task_id, event.session, event.detail["lost"]) for event in events] == [
        (EventKind.LOST, envelope.id, None, 1),
        (EventKind.LOST, envelope.id, None, 2),
    ]


async def test_a_task_is_held_for_many_locks(broker: KafkaBroker) -> None:
    """A lock lasts a second here; who works for an hour on a stock broker renews it as often."""
    await publish(broker, 1)
    holder, rival = await session_of(broker), await session_of(broker)
    (delivery,) = await take(holder, 1)
    assert await rival.fetch(Want(1, [(QUEUE, 1)]), wait=5.0) == []
    (answer,) = await holder.settle([complete(delivery)], number=1)
    assert isinstance(answer, Done)


async def test_a_lost_connection_repeats_the_task_elsewhere(broker: KafkaBroker) -> None:
    """What «no STABLE_SESSION» means: the worker lives, its task goes on, and another one begins it again."""
    await publish(broker, 1)
    cut, heir = await session_of(broker), await session_of(broker)
    (delivery,) = await take(cut, 1)

    async def cut_connections() -> None:
        for lane in cut._reader._lanes.values():
            for session in lane.members[0]._sessions.values():
                assert session._connection is not None
                session._connection.close()

    await cut._io.call(cut_connections)
    (again,) = await take(heir, 1)
    assert again.counts == Counts(0, 1, 0)
    assert await cut.signals(wait=5.0) == [Fenced()]
    assert await cut.settle([complete(delivery)], number=1) == [STALE]


async def test_more_losses_than_the_brokers_count_are_refused(broker: KafkaBroker) -> None:
    await broker.declare([QueueSpec(QUEUE, max_lost=24)])
    with pytest.raises(InvalidOption, match=r"max_lost=25 is not below the 25 hand-overs .*delivery\.count\.limit"):
        await broker.declare([QueueSpec(QUEUE, max_lost=25)])


async def test_results_outlive_their_topics_first_settings(broker: KafkaBroker) -> None:
    """A TTL longer than the topic keeps its records has it keep them longer."""
    (envelope,) = await publish(broker, 1)
    session = await session_of(broker)
    (delivery,) = await take(session, 1)
    week = 7 * 86400.0
    (answer,) = await session.settle(
        [Complete(delivery, Result(envelope.id, Outcome.COMPLETED, b"x", ttl=week))], number=1
    )
    assert isinstance(answer, Done)
    core = broker._open_core()
    assert await core.topics.keep(core.names.results, 1.0) == 2 * week
    (found,) = await broker.results.get([envelope.id])
    assert isinstance(found, Result)
    assert found.value == b"x"
