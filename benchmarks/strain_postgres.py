"""PostgreSQL under strain: ``python -m benchmarks.strain_postgres [--backlog 1000000] [--seconds 60]``.

What a task costs with a long backlog beside what it costs with a short one, and how long a claim takes while somebody holds a
snapshot, so that nothing that was deleted can be cleaned up. The server is the one that ``ORCASTRA_TEST_POSTGRES_URL`` names.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import time
from statistics import quantiles

import asyncpg

from benchmarks.ceiling import BATCH, BULK
from orcastra_core.cli.event_loop import run
from orcastra_core.interfaces.broker import Broker
from orcastra_core.interfaces.session import Session
from orcastra_core.model.delivery import Want
from orcastra_core.model.envelope import Envelope
from orcastra_core.model.ids import IdFactory
from orcastra_core.model.names import QueueName, TaskName
from orcastra_core.model.result import Outcome, Result
from orcastra_core.model.settlement import Complete
from orcastra_core.plugins import load_broker
from orcastra_core.serialization.event_codec import EventWriter

QUEUE, TASK = QueueName("default"), TaskName("noop")
RATE = 5000
_TICK = 0.01
_SHORT = 10_000
_COSTED = 10_000

_new_id = IdFactory()


async def publish(broker: Broker, number: int) -> None:
    """Publish so many, in batches."""
    writer = EventWriter(None)
    for first in range(0, number, BULK):
        batch = [Envelope(_new_id(), QUEUE, TASK, b"\x82\x81\x01\xa0") for _ in range(min(BULK, number - first))]
        await broker.publish(batch, events=[writer.submitted(one.id, 0.0, one.queue, one.task) for one in batch])


async def work(session: Session, number: int, waits: list[float] | None = None) -> None:
    """Fetch and settle so many; the seconds of each fetch that found some go to ``waits``."""
    writer, want, done, turn = EventWriter(session.id), Want(BATCH, [(QUEUE, BATCH)]), 0, 0
    while done < number:
        start = time.perf_counter()
        deliveries = await session.fetch(want, wait=0.0 if waits is not None else 1.0)
        if not deliveries:
            await asyncio.sleep(_TICK / 2)
            continue
        if waits is not None:
            waits.append(time.perf_counter() - start)
        done, turn = done + len(deliveries), turn + 1
        settlements = [
            Complete(
                one, Result(one.envelope.id, Outcome.COMPLETED, b"\xf6"), (), writer.completed(one.envelope.id, 0.0, 0)
            )
            for one in deliveries
        ]
        await session.settle(settlements, number=turn)


async def backlog(url: str, size: int) -> tuple[float, float]:
    """Return what a task costs to publish, and to fetch and settle, with so many waiting; microseconds."""
    broker = load_broker(url)
    await broker.open()
    await publish(broker, size)
    start = time.perf_counter()
    await publish(broker, _COSTED)
    published = (time.perf_counter() - start) / _COSTED
    session = await broker.open_session([QUEUE], lease=30.0)
    start = time.perf_counter()
    await work(session, _COSTED)
    worked = (time.perf_counter() - start) / _COSTED
    await session.leave()
    await broker.close()
    return published * 1e6, worked * 1e6


async def snapshot(url: str, seconds: float, *, held: bool) -> list[float]:
    """Return the milliseconds of each fetch at a steady rate, with or without an old snapshot."""
    broker = load_broker(url)
    await broker.open()
    holder = await asyncpg.connect(url.partition("?")[0])
    session = await broker.open_session([QUEUE], lease=30.0)
    waits: list[float] = []
    total = int(seconds * RATE)

    async def steadily() -> None:
        loop = asyncio.get_running_loop()
        start, published = loop.time(), 0
        while published < total:
            owed = min(total, int((loop.time() - start) * RATE)) - published
            if owed > 0:
                await publish(broker, owed)
                published += owed
            await asyncio.sleep(_TICK)

    if held:
        await holder.execute("begin isolation level repeatable read")
        await holder.fetch("select count(*) from pg_class")
    async with asyncio.TaskGroup() as group:
        group.create_task(steadily())
        group.create_task(work(session, total, waits))
    await session.leave()
    await holder.close()
    await broker.close()
    return [one * 1000 for one in waits]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.strain_postgres", description=__doc__)
    parser.add_argument("--backlog", type=int, default=1_000_000, help="tasks that wait")
    parser.add_argument("--seconds", type=float, default=60.0, help="how long the snapshot is held")
    options = parser.parse_args()
    server = os.environ.get("ORCASTRA_TEST_POSTGRES_URL")
    if not server:
        raise SystemExit("run: scripts/services run postgres -- python -m benchmarks.strain_postgres")
    for size in (_SHORT, options.backlog):
        published, worked = run(backlog(f"{server}?domain=strain-{os.getpid()}-{size}", size))
        print(
            f"{size:>9} waiting: publish {published:6.1f} µs a task, fetch and settle {worked:6.1f} µs a task",
            flush=True,
        )
    for held in (False, True):
        waits = run(snapshot(f"{server}?domain=strain-{os.getpid()}-{held}", options.seconds, held=held))
        cut, word = quantiles(waits, n=100), "a snapshot held" if held else "no snapshot"
        late = quantiles(waits[-len(waits) // 5 :], n=100)
        print(
            f"{RATE} tasks/s for {options.seconds:.0f} s, {word}: fetch p50 {cut[49]:.2f} ms, p99 {cut[98]:.2f} ms;"
            f" in the last fifth p50 {late[49]:.2f} ms",
            flush=True,
        )


if __name__ == "__main__":
    main()
