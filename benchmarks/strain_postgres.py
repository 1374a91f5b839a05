"""PostgreSQL under strain: ``python -m benchmarks.strain_postgres [--backlog 1000000] [--seconds 60]``.

What a task costs with a long backlog beside what it costs with a short one, and how long a claim takes while somebody holds a
snapshot, so that nothing that was deleted can be cleaned up. The server is the one that ``ORCASTRA_TEST_POSTGRES_URL`` names.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import time
from multiprocessing import get_context
from statistics import median, quantiles

import asyncpg

from benchmarks.ceiling import BATCH, BULK
from orcastra_core.cli.event_loop import run
from orcastra_core.interfaces.broker import Broker
from orcastra_core.interfaces.session import Session
from orcastra_core.model.delivery import Want
from orcastra_core.model.envelope import Envelope
from orcastra_core.model.ids import IdFactory
from orcastra_core.model.names import QueueName, TaskName
from orcastra_core.model.published import STORED
from orcastra_core.model.result import Outcome, Result
from orcastra_core.model.settlement import DONE, Complete
from orcastra_core.plugins import load_broker
from orcastra_core.serialization.event_codec import EventWriter

QUEUE, TASK = QueueName("default"), TaskName("noop")
RATE = 5000
_TICK = 0.01
_SHORT = 10_000
_COSTED = 10_000

_new_id = IdFactory()


async def publish(broker: Broker, number: int) -> list[float]:
    """Publish so many, in batches; return the seconds that a task took in each."""
    writer, costs = EventWriter(None), []
    for first in range(0, number, BULK):
        batch = [Envelope(_new_id(), QUEUE, TASK, b"\x82\x81\x01\xa0") for _ in range(min(BULK, number - first))]
        events = [writer.submitted(one.id, 0.0, one.queue, one.task) for one in batch]
        start = time.perf_counter()
        answers = await broker.publish(batch, events=events)
        costs.append((time.perf_counter() - start) / len(batch))
        if any(answer != STORED for answer in answers):
            raise SystemExit("a publish was refused")
    return costs


async def work(session: Session, number: int, waits: list[float] | None = None) -> list[float]:
    """Fetch and settle so many; return the seconds that a task took in each batch.

    Those of each fetch that found some go to ``waits``.
    """
    writer, want, done, turn, costs = EventWriter(session.id), Want(BATCH, [(QUEUE, BATCH)]), 0, 0, []
    while done < number:
        start = time.perf_counter()
        deliveries = await session.fetch(want, wait=0.0)
        fetched = time.perf_counter()
        if not deliveries:
            await asyncio.sleep(_TICK / 2)
            continue
        if waits is not None:
            waits.append(fetched - start)
        done, turn = done + len(deliveries), turn + 1
        settlements = [
            Complete(
                one, Result(one.envelope.id, Outcome.COMPLETED, b"\xf6"), (), writer.completed(one.envelope.id, 0.0, 0)
            )
            for one in deliveries
        ]
        answers = await session.settle(settlements, number=turn)
        costs.append((time.perf_counter() - start) / len(deliveries))
        if any(answer != DONE for answer in answers):
            raise SystemExit("a settlement was refused")
    return costs


async def backlog(url: str, size: int) -> tuple[float, float]:
    """Return what a task costs to publish, and to fetch and settle, with so many waiting; microseconds, the median of the batches."""
    broker = load_broker(url)
    await broker.open()
    await publish(broker, size)
    published = median(await publish(broker, _COSTED))
    session = await broker.open_session([QUEUE], lease=30.0)
    worked = median(await work(session, _COSTED))
    await session.leave()
    await broker.close()
    return published * 1e6, worked * 1e6


async def _publish_steadily(url: str, total: int) -> None:
    broker = load_broker(url)
    await broker.open()
    loop = asyncio.get_running_loop()
    start, published = loop.time(), 0
    while published < total:
        owed = min(total, int((loop.time() - start) * RATE)) - published
        if owed > 0:
            await publish(broker, owed)
            published += owed
        await asyncio.sleep(_TICK)
    await broker.close()


async def snapshot(url: str, seconds: float, *, held: bool) -> list[float]:
    """Return the milliseconds of each fetch at a steady rate, with or without an old snapshot.

    Another process publishes, so that what is measured is the store and not how our event loop is shared.
    """
    broker = load_broker(url)
    await broker.open()
    holder = await asyncpg.connect(url.partition("?")[0])
    session = await broker.open_session([QUEUE], lease=30.0)
    waits: list[float] = []
    total = int(seconds * RATE)
    if held:
        await holder.execute("begin isolation level repeatable read")
        await holder.fetch("select count(*) from pg_class")
    publisher = get_context("spawn").Process(target=_publisher, args=(url, total))
    publisher.start()
    try:
        await work(session, total, waits)
    finally:
        publisher.terminate()
        publisher.join()
    await session.leave()
    await holder.close()
    await broker.close()
    return [one * 1000 for one in waits]


def _publisher(url: str, total: int) -> None:
    run(_publish_steadily(url, total))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.strain_postgres", description=__doc__)
    parser.add_argument("--backlog", type=int, default=1_000_000, help="tasks that wait")
    parser.add_argument("--seconds", type=float, default=60.0, help="how long the snapshot is held")
    options = parser.parse_args()
    server = os.environ.get("ORCASTRA_TEST_POSTGRES_URL")
    if not server:
        raise SystemExit("run: scripts/services run postgres -- python -m benchmarks.strain_postgres")
    costs: list[tuple[float, float]] = []
    for size in (_SHORT, options.backlog):
        published, worked = run(backlog(f"{server}?domain=strain-{os.getpid()}-{size}", size))
        costs.append((published, worked))
        print(
            f"{size:>9} waiting: publish {published:6.1f} µs a task, fetch and settle {worked:6.1f} µs a task",
            flush=True,
        )
    short, long = map(sum, costs)
    print(f"          a task costs {long / short:.2f} times as much")
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
