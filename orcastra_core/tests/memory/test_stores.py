"""Which brokers share a store, for how long, and from which event loops."""

from __future__ import annotations

import asyncio
import threading

import pytest

from orcastra_conformance.engine.clock import VirtualClock
from orcastra_conformance.engine.making import Making
from orcastra_core.backends.memory import MemoryBroker
from orcastra_core.liveness.system_clock import SystemClock
from orcastra_core.model.broker_url import BrokerUrl
from orcastra_core.model.delivery import Delivery, Want
from orcastra_core.model.errors import InvalidOption, Unsupported
from orcastra_core.model.profile import Cap
from orcastra_core.model.published import STORED

make = Making(SystemClock().now)


def broker_at(url: str) -> MemoryBroker:
    return MemoryBroker(BrokerUrl.parse(url))


async def fetch(broker: MemoryBroker, most: int = 10, wait: float = 0.0) -> list[Delivery]:
    session = await broker.open_session([make.queue()], lease=10)
    return list(await session.fetch(Want(most, [(make.queue(), most)]), wait=wait))


@pytest.mark.parametrize(
    "one, other, shared",
    [
        ("memory://", "memory://", False),
        ("memory://a", "memory://a", True),
        ("memory://a", "memory://b", False),
        ("memory://a", "memory://a/b", False),
        ("memory://a", "memory://a?domain=x", False),
        ("memory://a?domain=x", "memory://a?domain=x", True),
    ],
)
async def test_name_and_domain_say_who_shares_a_store(one: str, other: str, shared: bool) -> None:
    first, second = broker_at(one), broker_at(other)
    await first.open()
    await second.open()
    await first.publish([make.envelope()])
    assert len(await fetch(second)) == int(shared)
    await first.close()
    await second.close()


async def test_a_named_store_ends_with_its_last_broker() -> None:
    first = broker_at("memory://short-lived")
    await first.open()
    await first.publish([make.envelope()])
    old = (await first.open_session([make.queue()], lease=10)).id
    await first.close()
    del first  # no cycle keeps it: it is gone at once
    second = broker_at("memory://short-lived")
    await second.open()
    assert await fetch(second) == []
    assert (await second.open_session([make.queue()], lease=10)).id != old
    await second.close()


def test_a_store_outlives_the_event_loop() -> None:
    broker = broker_at("memory://")
    envelope = make.envelope()

    async def publish() -> None:
        await broker.open()
        await broker.publish([envelope])
        await broker.close()

    async def read() -> list[Delivery]:
        await broker.open()
        taken = await fetch(broker)
        await broker.close()
        return taken

    asyncio.run(publish())
    assert [d.envelope for d in asyncio.run(read())] == [envelope]


def test_a_fetch_left_behind_in_a_dead_loop_takes_no_wake_up() -> None:
    dead, alive = broker_at("memory://dead-loop"), broker_at("memory://dead-loop")
    loop = asyncio.new_event_loop()

    async def start() -> asyncio.Task[list[Delivery]]:
        await dead.open()
        waiting = loop.create_task(fetch(dead, wait=60))
        await asyncio.sleep(0)
        return waiting

    waiting = loop.run_until_complete(start())
    loop.stop()
    loop.run_forever()

    async def go_on() -> list[Delivery]:
        await alive.open()
        async with asyncio.timeout(5), asyncio.TaskGroup() as group:
            second = group.create_task(fetch(alive, wait=60))
            await asyncio.sleep(0)
            loop.close()
            await alive.publish([make.envelope()])
            return await second

    waiting._log_destroy_pending = False  # type: ignore[attr-defined] # the loss of that loop is the point
    assert len(asyncio.run(go_on())) == 1


def test_two_loops_in_two_threads_share_a_store_without_losing_or_doubling() -> None:
    number, batch = 3000, 50
    sent = make.envelopes(number)
    done: list[str] = []
    ready = threading.Barrier(3)

    async def work() -> None:
        broker = broker_at("memory://threads")
        await broker.open()
        session = await broker.open_session([make.queue()], lease=10)
        ready.wait()
        count = 0
        while len(done) < number:
            taken = await session.fetch(Want(7, [(make.queue(), 7)]), wait=0.05)
            count += 1
            await session.settle([make.complete(d) for d in taken], number=count)
            done.extend(d.envelope.id for d in taken)
        await broker.close()

    async def publish() -> None:
        broker = broker_at("memory://threads")
        await broker.open()
        ready.wait()
        for at in range(0, number, batch):
            assert set(await broker.publish(sent[at : at + batch])) == {STORED}
            await asyncio.sleep(0)
        await broker.close()

    anchor = broker_at("memory://threads")
    workers = [threading.Thread(target=asyncio.run, args=(work(),)) for _ in range(2)]
    for worker in workers:
        worker.start()
    asyncio.run(publish())
    for worker in workers:
        worker.join(30)
    del anchor
    assert sorted(done) == sorted(e.id for e in sent)


async def test_a_fetch_in_real_time_ends_with_its_wait() -> None:
    broker = broker_at("memory://")
    await broker.open()
    assert await fetch(broker, wait=0.01) == []
    await broker.close()


async def test_a_forgotten_broker_falls_silent() -> None:
    clock = VirtualClock()
    url = BrokerUrl.parse("memory://forgotten")
    judge, forgotten = MemoryBroker(url, clock=clock), MemoryBroker(url, clock=clock)
    await judge.open()
    await forgotten.open()
    await judge.publish([make.envelope()])
    assert len(await fetch(forgotten)) == 1
    await clock.advance(100)
    assert not (await judge.sweep(limit=10)).sessions
    del forgotten
    await clock.advance(10)
    swept = await judge.sweep(limit=10)
    assert [lost.counts.lost for lost in swept.lost] == [1]
    await judge.close()


@pytest.mark.parametrize(
    "url, says",
    [
        ("memory://?event_max=3", "did you mean 'events_max'"),
        ("memory://?events_max=0", "at least 1"),
        ("memory://?without=MAGIC", "MAGIC is no capability"),
    ],
)
def test_bad_parameters_are_named(url: str, says: str) -> None:
    with pytest.raises(InvalidOption, match=says):
        broker_at(url)


async def test_without_takes_capabilities_away() -> None:
    broker = broker_at("memory://?without=cancel,DELAY")
    profile = await broker.open()
    assert broker.claims - profile.capabilities == {Cap.CANCEL, Cap.DELAY}
    with pytest.raises(Unsupported):
        profile.require(Cap.DELAY)
    assert broker.scheduler is not None, "schedules are still offered"
    await broker.close()
