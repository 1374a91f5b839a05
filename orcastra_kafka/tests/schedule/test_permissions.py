"""Who may not fire is told what to allow; who only puts off needs no more than to write."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from kafka_rig import Open
from kafka_rig.guarded import CLUSTER, GROUP, TOPIC, TRANSACTIONAL_ID, Guarded, guarded
from schedule_rig import PLAN, deferred

from orcastra_core.model.errors import AuthenticationFailed
from orcastra_kafka.conformance_servers import Ground


@pytest.fixture
async def broker(ground: Ground, tmp_path: Path) -> AsyncIterator[Guarded]:
    there = await guarded(ground, tmp_path)
    yield there
    there.server.kill()


@pytest.mark.timeout(90)
async def test_who_may_not_fire_is_told_what_to_allow(broker: Guarded, opened: Open) -> None:
    domain = uuid.uuid4().hex[:12]
    prefix = f"orc.{domain}."
    topics = ["Read", "Write", "Create", "Describe", "DescribeConfigs"]
    await broker.allow("worker", TOPIC, prefix, topics, prefix=True)
    await broker.allow("worker", GROUP, prefix, ["Read", "Describe"], prefix=True)
    await broker.allow("worker", CLUSTER, "kafka-cluster", ["DescribeConfigs"], prefix=False)
    one = await opened(broker.url("worker", domain=domain))
    schedules = [deferred(), deferred(3600)]
    await one.scheduler.add(schedules)
    assert list(await one.scheduler.get([schedule.id for schedule in schedules])) == schedules
    assert await one.scheduler.remove([schedules[1].id]) == [True], "a removal is a plain append"
    with pytest.raises(
        AuthenticationFailed, match=rf"Write and Describe on transactional ids that begin with {prefix}schedule\."
    ):
        await one.scheduler.promote(one, limit=10, plan=PLAN)
    await broker.allow("worker", TRANSACTIONAL_ID, f"{prefix}schedule.", ["Write", "Describe"], prefix=True)
    assert (await one.scheduler.promote(one, limit=10, plan=PLAN)).done == 1
