"""A transaction that the coordinator has forgotten, and that readers wait for all the same, is ended with all that it wrote."""

from __future__ import annotations

import pytest
from kafka_rig import Open
from schedule_rig import PLAN, deferred, fired
from server_rig import make, until

from orcastra_core.model.counts import FRESH
from orcastra_core.model.published import STORED
from orcastra_kafka import KafkaBroker
from orcastra_kafka.conformance_servers import Ground
from orcastra_kafka.producer import Record
from orcastra_kafka.protocol.produce import Produce
from orcastra_kafka.publish import record_of
from orcastra_kafka.share.private import BatchBuilder
from orcastra_kafka.transaction import Transactions


async def leave_hanging(broker: KafkaBroker, *records: Record) -> None:
    """Write under the scheduler's transactional id what its coordinator never hears of. Where the brokers do not ask him, that works."""
    core = broker._open_core()
    name = f"{core.names.schedule}.0"
    transactions = Transactions(core.cluster, name, timeout=5.0)
    await transactions.begin()
    identity = transactions.identity
    assert identity is not None
    for record in records:
        builder = BatchBuilder(2, 0, 1, identity.id, identity.epoch, 0, 1 << 30)
        builder.append(0, None, record.key, record.value, [])
        leader = (await core.cluster.topic(record.topic)).leaders[0]
        said = await core.cluster.ask(leader, Produce(record.topic, 0, bytes(builder.build()), 5.0, name))
        assert said.error == 0


@pytest.mark.timeout(90)
async def test_what_hangs_is_ended(ground: Ground, opened: Open) -> None:
    server = await ground.server(transaction_partition_verification_enable="false")
    try:
        url = f"{server.url}/?levels=1&partitions=1"
        broker, other = await opened(url), await opened(url)
        schedules = [deferred() for _ in range(20)]
        await broker.scheduler.add(schedules)
        published = make.envelope()
        assert await broker.publish([published]) == [STORED]
        names = broker._open_core().names
        unseen = make.envelope()
        await leave_hanging(
            broker,
            Record(names.schedule, schedules[0].id.encode(), None),
            record_of(unseen, FRESH, names),
        )
        behind = make.envelope()
        assert await broker.publish([behind]) == [STORED]
        done = 0

        async def empty() -> bool:
            nonlocal done
            promotion = await other.scheduler.promote(other, limit=50, plan=PLAN)
            done += promotion.done
            return promotion.next_in is None

        await until(empty, "all are fired", seconds=20)
        assert done == 20
        counts = await fired(broker)
        assert counts == {published.id: 1, behind.id: 1, **{one.envelope.id: 1 for one in schedules}}
    finally:
        server.kill()
