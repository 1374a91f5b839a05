"""Another client of share groups, librdkafka's, writes the same bytes, and the two of them share one queue.

It speaks the versions before ours, without exact limits and renewals: the fields of those are in the golden frames.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from io import BytesIO
from typing import Any

import pytest
from confluent_kafka import AcknowledgeType, Message
from confluent_kafka import ShareConsumer as Preview
from kafka_rig.wiretap import Exchange, tapped

from orcastra_kafka.conformance_servers import Server
from orcastra_kafka.share import AckType, Cluster, Connecting, ShareConsumer, ShareRecord
from orcastra_kafka.share.messages import ShareAcknowledge, ShareFetch, ShareGroupHeartbeat
from orcastra_kafka.share.wire import Request

pytestmark = pytest.mark.kafka

Produce = Callable[[int], Awaitable[None]]

KINDS: dict[int, type[Request[Any]]] = {76: ShareGroupHeartbeat, 78: ShareFetch, 79: ShareAcknowledge}


class ShareFetchV1(ShareFetch):
    """Without exact limits and renewals, as librdkafka 2.16 speaks it."""

    version = 1
    layout = (*ShareFetch.layout[:8], *ShareFetch.layout[10:])  # type: ignore[assignment]  # two fewer

    def fields(self) -> tuple[Any, ...]:
        fields = super().fields()
        return (*fields[:8], *fields[10:])


class ShareAcknowledgeV1(ShareAcknowledge):
    """The same."""

    version = 1
    layout = (*ShareAcknowledge.layout[:3], *ShareAcknowledge.layout[4:])  # type: ignore[assignment]  # one fewer

    def fields(self) -> tuple[Any, ...]:
        fields = super().fields()
        return (*fields[:3], *fields[4:])


OLDER: dict[tuple[int, int], type[Request[Any]]] = {(78, 1): ShareFetchV1, (79, 1): ShareAcknowledgeV1}


def kind_of(exchange: Exchange) -> type[Request[Any]]:
    """Return the class that speaks an exchange's version."""
    kind = KINDS[exchange.key]
    return kind if kind.version == exchange.version else OLDER[exchange.key, exchange.version]


def read(exchange: Exchange) -> Request[Any]:
    """Return a request as the message of ours that says the same."""
    kind = kind_of(exchange)
    data = BytesIO(exchange.request)
    said = dict(zip(kind._struct.SCHEMA.names, kind._struct.SCHEMA.decode(data), strict=True))
    assert not data.read(), "read to its end"
    assert not said.pop("tags")
    if kind is ShareGroupHeartbeat:
        return ShareGroupHeartbeat(said["group"], said["member"], said["epoch"], said["topics"], said["rack"])
    rows = {(topic, number): acks for topic, partitions, _ in said.pop("topics") for number, acks, _ in partitions}
    acks = {place: [row[:3] for row in some] for place, some in rows.items() if some}
    if issubclass(kind, ShareAcknowledge):
        return kind(**said, acks=acks)
    assert issubclass(kind, ShareFetch)
    forget = frozenset((topic, number) for topic, numbers, _ in said.pop("forget") for number in numbers)
    wait, exact = said.pop("max_wait") / 1000, bool(said.pop("mode", 0))
    add = frozenset(rows.keys() - acks.keys())
    return kind(**said, wait=wait, exact=exact, add=add, forget=forget, acks=acks)


def same_both_ways(exchange: Exchange) -> None:
    """Demand that our message of the same contents has the same bytes, and that what came back is read to its last byte."""
    assert read(exchange).encode().hex() == exchange.request.hex()
    kind = kind_of(exchange)
    if kind.version != KINDS[exchange.key].version:
        return
    assert exchange.answer is not None
    schema = kind._struct.RESPONSE_TYPE.SCHEMA
    assert schema.encode(schema.decode(BytesIO(exchange.answer))) == exchange.answer
    assert kind.decode(exchange.answer).error == 0


def preview(address: str, group: str) -> Preview:
    """Return a consumer of librdkafka's that acknowledges each record."""
    return Preview(
        {
            "bootstrap.servers": address,
            "client.id": "librdkafka",
            "group.id": group,
            "share.acknowledgement.mode": "explicit",
            "log_level": 0,
        }
    )


def take_with(consumer: Preview, number: int, kinds: Sequence[AcknowledgeType]) -> list[Message]:
    """Take so many records and acknowledge each by its turn's kind. Blocks."""
    taken: list[Message] = []
    while len(taken) < number:
        for message in consumer.poll(10.0):
            assert message.error() is None
            consumer.acknowledge(message, kinds[len(taken) % len(kinds)])
            taken.append(message)
    answers = consumer.commit_sync(10.0)
    assert not any(answers.values())
    return taken


async def take(consumer: ShareConsumer, number: int) -> list[ShareRecord]:
    taken: list[ShareRecord] = []
    while len(taken) < number:
        taken += await consumer.fetch(number - len(taken), 0.5)
    return taken


async def test_the_bytes_are_the_same(server: Server, topic: str, produce: Produce) -> None:
    await produce(12)
    kinds = (AcknowledgeType.ACCEPT, AcknowledgeType.ACCEPT, AcknowledgeType.RELEASE, AcknowledgeType.REJECT)

    async with tapped(server) as tap, asyncio.timeout(40):

        def converse() -> None:
            with preview(tap.address, topic) as consumer:
                consumer.subscribe([topic])
                take_with(consumer, 12, kinds)
                take_with(consumer, 3, [AcknowledgeType.ACCEPT])

        await asyncio.to_thread(converse)
        host, _, port = tap.address.partition(":")
        cluster = Cluster(Connecting(bootstrap=[(host, int(port))], client_id="ours"))
        await cluster.open()
        consumer = ShareConsumer(cluster, topic, [topic])
        await consumer.start()
        await consumer.ready()
        await produce(6)
        records = await take(consumer, 6)
        answers = await consumer.acknowledge(
            [(record, AckType.RELEASE if n % 2 else AckType.ACCEPT) for n, record in enumerate(records)]
        )
        assert answers == [0] * 6
        again = await take(consumer, 3)
        assert await consumer.acknowledge([(record, AckType.ACCEPT) for record in again]) == [0, 0, 0]
        await consumer.close()
        await cluster.close()

    for key in KINDS:
        theirs, ours = tap.of("librdkafka", key), tap.of("ours", key)
        assert theirs, f"librdkafka used API {key}"
        for exchange in [*theirs, *ours]:
            same_both_ways(exchange)
    rows = [ack for one in tap.of("librdkafka", 78) + tap.of("librdkafka", 79) for ack in acks_of(read(one))]
    assert {kind for _, _, types in rows for kind in types} >= {1, 2, 3}, "it had something to say"


def acks_of(request: Request[Any]) -> list[tuple[int, int, Sequence[int]]]:
    assert isinstance(request, (ShareFetch, ShareAcknowledge))
    return [row for rows in request.acks.values() for row in rows]


async def test_what_one_releases_the_other_gets(server: Server, cluster: Cluster, topic: str, produce: Produce) -> None:
    await produce(6)
    address = f"127.0.0.1:{server.port}"

    def release(number: int) -> list[int | None]:
        with preview(address, topic) as consumer:
            consumer.subscribe([topic])
            return [message.offset() for message in take_with(consumer, number, [AcknowledgeType.RELEASE])]

    def accept(number: int) -> list[tuple[int | None, int | None]]:
        with preview(address, topic) as consumer:
            consumer.subscribe([topic])
            taken = take_with(consumer, number, [AcknowledgeType.ACCEPT])
            return [(message.offset(), message.delivery_count()) for message in taken]

    async with asyncio.timeout(40):
        released = await asyncio.to_thread(release, 6)
        consumer = ShareConsumer(cluster, topic, [topic])
        await consumer.start()
        await consumer.ready()
        records = await take(consumer, 6)
        assert sorted(record.offset for record in records) == sorted(
            offset for offset in released if offset is not None
        )
        assert {record.delivery_count for record in records} == {2}
        mine, theirs = records[:2], records[2:]
        assert await consumer.acknowledge([(record, AckType.ACCEPT) for record in mine]) == [0, 0]
        assert await consumer.acknowledge([(record, AckType.RELEASE) for record in theirs]) == [0] * 4
        got = await asyncio.to_thread(accept, 4)
        assert sorted(got, key=str) == sorted(((record.offset, 3) for record in theirs), key=str)
        assert await consumer.fetch(10, 0.3) == []
        await consumer.close()
