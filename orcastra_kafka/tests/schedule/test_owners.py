"""Owners of the log: killed, standing still, and far behind; each tick is fired once all the same."""

from __future__ import annotations

import time
import uuid

import pytest
from kafka_rig import Open
from schedule_rig import PLAN, deferred, fired, promoter
from server_rig import until

from orcastra_kafka import KafkaBroker
from orcastra_kafka.conformance_servers import Server

TOTAL = 2000


def url_of(shared: Server, partitions: int = 2) -> str:
    return f"{shared.url}/?levels=1&partitions={partitions}&domain=s-{uuid.uuid4().hex}"


async def promote_all(broker: KafkaBroker) -> int:
    """Promote until nothing is left; return how many were fired."""
    done = 0

    async def empty() -> bool:
        nonlocal done
        promotion = await broker.scheduler.promote(broker, limit=500, plan=PLAN)
        done += promotion.done
        return promotion.next_in is None

    await until(empty, "all are fired", seconds=30)
    return done


@pytest.mark.timeout(120)
async def test_an_owner_is_killed_amid_firing(shared: Server, opened: Open) -> None:
    url = url_of(shared)
    broker = await opened(url)
    schedules = [deferred() for _ in range(TOTAL)]
    await broker.scheduler.add(schedules)
    async with promoter(url, 20) as owner:
        await owner.until(TOTAL // 10)
        await owner.kill()
    killed = time.monotonic()
    rest = await promote_all(broker)
    took = time.monotonic() - killed
    assert owner.fired + rest <= TOTAL
    assert rest >= TOTAL // 4, "it was in mid-run"
    counts = await fired(broker)
    assert counts.keys() == {one.envelope.id for one in schedules}, "none is lost"
    assert counts.total() == TOTAL, "and none is fired twice"
    print(f"\n{owner.fired} fired by the owner that was killed, {rest} by the next one within {took:.2f} s")


@pytest.mark.timeout(120)
async def test_one_owner_after_the_other_is_killed(shared: Server, opened: Open) -> None:
    url = url_of(shared)
    broker = await opened(url)
    schedules = [deferred() for _ in range(TOTAL // 2)]
    await broker.scheduler.add(schedules)
    for _ in range(5):
        async with promoter(url, 20) as first, promoter(url, 20) as second:
            await first.turn()
            await second.turn()
            await (first if first.fired >= second.fired else second).kill()
            survivor = second if first.fired >= second.fired else first
            await survivor.turn()
    await promote_all(broker)
    counts = await fired(broker)
    assert counts.keys() == {one.envelope.id for one in schedules}
    assert counts.total() == TOTAL // 2


@pytest.mark.timeout(120)
async def test_an_owner_that_stood_still_is_fenced(shared: Server, opened: Open) -> None:
    url = url_of(shared)
    broker = await opened(url)
    schedules = [deferred() for _ in range(TOTAL)]
    await broker.scheduler.add(schedules)
    async with promoter(url, 20) as zombie:
        await zombie.until(TOTAL // 10)
        zombie.stand_still()
        stopped, before = time.monotonic(), zombie.fired
        rest = await promote_all(broker)
        took = time.monotonic() - stopped
        zombie.go_on()
        await zombie.turn()
        await zombie.turn()
        counts = await fired(broker)
        assert counts.keys() == {one.envelope.id for one in schedules}
        assert counts.total() == TOTAL, "what it had begun was refused"
        again = [deferred() for _ in range(10)]
        await broker.scheduler.add(again)
        await promote_all(broker)
        assert (await fired(broker)).total() == TOTAL + 10, "it has read what happened, and goes on"
    print(f"\n{before} fired by the zombie, {rest} by the other within {took:.2f} s")


@pytest.mark.timeout(60)
async def test_who_stands_by_leaves_it_to_the_owner(shared: Server, opened: Open) -> None:
    url = url_of(shared, 1)
    broker = await opened(url)
    await broker.scheduler.add([deferred()])
    assert broker.scheduler._made is not None
    broker.scheduler._made._patience = 60.0  # whatever the machine is busy with
    async with promoter(url, 500) as owner:
        await owner.until(1)
        by_us = 0
        for _ in range(10):
            await broker.scheduler.add([deferred() for _ in range(20)])
            for _ in range(5):
                by_us += (await broker.scheduler.promote(broker, limit=500, plan=PLAN)).done
        await until(lambda: owner.fired + by_us >= 201, "all are fired")
    assert (await fired(broker)).total() == 201
    assert by_us == 0, "the owner is there"
