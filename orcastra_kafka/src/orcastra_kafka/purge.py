"""Emptying a queue of the share lane: a member of its group takes what waits, and is done with it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import attrs

from orcastra_core.model.errors import BrokerClosed, BrokerError, BrokerUnavailable
from orcastra_core.model.names import QueueName
from orcastra_kafka.core import Core
from orcastra_kafka.errors import CLIENT_ERRORS, translate
from orcastra_kafka.logs import offset_at
from orcastra_kafka.producer import Record
from orcastra_kafka.protocol.log import EARLIEST, LATEST
from orcastra_kafka.publish import COUNTS, counts_of, headers_of
from orcastra_kafka.share.acks import AckType
from orcastra_kafka.share.consumer import ShareConsumer
from orcastra_kafka.share.errors import KafkaCode
from orcastra_kafka.share.messages import Partition
from orcastra_kafka.share.records import ShareRecord
from orcastra_kafka.topics import lanes_of

_PIECE = 500
"""Records that are taken at a time."""
_QUIET = 0.25
"""Seconds that nothing must come for the queue to be empty."""
_COLD_START = 15.0
"""Seconds that joining may take: a cluster's first share group waits for the brokers to make their own topics."""
_FAREWELL = 0.9


class Purges:
    """The purges of one broker that are under way."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[int]] = set()

    async def purge(self, core: Core, queue: QueueName) -> int:
        """Forget what waits in a queue by now; return how much it was. What runs goes on.

        Raises BrokerError; what was forgotten until then stays so.
        """
        task = core.loop.create_task(_purge(core, queue), name=f"kafka-purge-{queue}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        try:
            return await task
        except asyncio.CancelledError:
            caller = asyncio.current_task()
            if core.closed and caller is not None and not caller.cancelling():
                raise BrokerClosed("the broker was closed") from None
            raise
        except CLIENT_ERRORS as error:
            raise translate(error, core.where) from error

    async def close(self) -> None:
        """End them all."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)


async def _purge(core: Core, queue: QueueName) -> int:
    topics = lanes_of(core.names, queue, core.settings.priorities)
    facts = (await core.cluster.metadata(topics)).topics
    there = [name for name in topics if facts[name].error != KafkaCode.UNKNOWN_TOPIC_OR_PARTITION]
    ends: dict[Partition, int] = {}
    for name in there:
        for number in range(len(facts[name].leaders)):
            begin, end = [await offset_at(core, facts[name], number, time) for time in (EARLIEST, LATEST)]
            if end > begin:
                ends[facts[name].id, number] = end
    if not ends:
        return 0
    await core.ensure_groups([queue], None)
    member = ShareConsumer(core.cluster, core.names.queue(queue), there, follow_assignment=False)
    count = 0
    try:
        await member.start()
        async with asyncio.timeout(max(_COLD_START, core.settings.timeout)):
            await member.ready()
        while records := await member.fetch(_PIECE, _QUIET):
            old = [one for one in records if one.offset < ends.get(one.partition, 0)]
            late = [one for one in records if one.offset >= ends.get(one.partition, 0)]
            # they come in order: before the first late one of a partition all have come that waited there
            member.pass_over({one.partition for one in late})
            await _accept(core, member, old)
            count += len(old)
            await _put_back(core, member, late)
    finally:
        await _end(member)
    return count


async def _accept(core: Core, member: ShareConsumer, records: Sequence[ShareRecord]) -> None:
    codes = await member.acknowledge([(record, AckType.ACCEPT) for record in records]) if records else []
    failed = next((code for code in codes if code), 0)
    if failed:
        raise BrokerUnavailable(f"{core.where}: error {failed} for an acknowledgement; call purge again")


async def _put_back(core: Core, member: ShareConsumer, records: Sequence[ShareRecord]) -> None:
    """Publish anew what came after the call: handing it back would count as a delivery."""
    said = await core.producer.send([_anew(record) for record in records])
    await _accept(core, member, [record for record, failure in zip(records, said, strict=True) if failure is None])
    failures: list[BrokerError] = [failure for failure in said if failure is not None]
    if failures:
        raise failures[0]


def _anew(record: ShareRecord) -> Record:
    counts = counts_of(record.headers)
    counts = attrs.evolve(counts, lost=counts.lost + record.delivery_count - 1)
    others = [(name, value) for name, value in record.headers if name != COUNTS]
    return Record(record.topic, record.key, record.value, [*others, *headers_of(counts)])


async def _end(member: ShareConsumer) -> None:
    member.drop()
    try:
        async with asyncio.timeout(_FAREWELL):
            await member.close()
    except TimeoutError:
        pass
