"""What is far away takes no more memory than its place; it is read again when it is due."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from schedule_rig import PLAN, MovedClock, deferred, fired, recurring

from orcastra_core.model.broker_url import BrokerUrl
from orcastra_kafka import KafkaBroker
from orcastra_kafka.conformance_servers import Server
from orcastra_kafka.schedule.calendar import HOUR
from orcastra_kafka.schedule_topic import FORGETS_AFTER


@asynccontextmanager
async def opened_with(url: str, clock: MovedClock) -> AsyncIterator[KafkaBroker]:
    broker = KafkaBroker(BrokerUrl.parse(url), clock=clock)
    await broker.open()
    try:
        yield broker
    finally:
        await broker.close()


@pytest.mark.timeout(90)
async def test_far_schedules_come_when_their_hour_does(shared: Server) -> None:
    clock = MovedClock()
    url = f"{shared.url}/?levels=1&partitions=2&domain=s-{uuid.uuid4().hex}"
    async with opened_with(url, clock) as broker:
        scheduler = broker.scheduler
        near = [deferred(n / 100) for n in range(50)]
        far = [deferred(24 * HOUR + n / 100, body=bytes(2000)) for n in range(500)]
        await scheduler.add([deferred()])
        assert (await scheduler.promote(broker, limit=500, plan=PLAN)).done == 1, "it is the owner"
        await scheduler.add([*near, *far, recurring("every", 48 * HOUR)])
        next_in = await scheduler.next_in()
        assert next_in is not None
        assert next_in < 1
        tables = [partition.table for partition in scheduler._made._partitions] if scheduler._made else []
        assert sum(map(len, tables)) >= 501
        assert sum(table.kept for table in tables) < 50 * 1000, "values of what is near only"
        assert sum(table.calendar.near for table in tables) < 100
        clock.ahead = FORGETS_AFTER / 2
        assert (await scheduler.promote(broker, limit=500, plan=PLAN)).done == 50
        clock.ahead = 24 * HOUR - 60
        next_in = await scheduler.next_in()
        assert next_in is not None
        assert 0 < next_in <= 60
        clock.ahead = 24 * HOUR + 10
        assert (await scheduler.promote(broker, limit=1000, plan=PLAN)).done == 500
        counts = await fired(broker)
        assert counts.total() == 551
        assert {one.envelope.id for one in far} <= counts.keys()
        clock.ahead = 48 * HOUR
        assert (await scheduler.promote(broker, limit=1000, plan=PLAN)).done == 1
        assert [one.id for one in await scheduler.page()] == ["every"]


async def test_who_has_not_read_for_long_begins_anew(shared: Server) -> None:
    clock = MovedClock()
    url = f"{shared.url}/?levels=1&partitions=1&domain=s-{uuid.uuid4().hex}"
    async with opened_with(url, clock) as broker, opened_with(url, MovedClock()) as other:
        schedules = [deferred(90 * HOUR) for _ in range(20)]
        await broker.scheduler.add(schedules)
        assert len(await broker.scheduler.page()) == 20
        assert await other.scheduler.remove([one.id for one in schedules[:15]]) == [True] * 15
        clock.ahead = 2 * FORGETS_AFTER
        made = broker.scheduler._made
        assert made is not None
        (partition,) = made._partitions
        before = partition.table
        assert len(await broker.scheduler.page()) == 5
        assert partition.table is not before
