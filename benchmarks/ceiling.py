"""What the store could do without the runtime."""

from __future__ import annotations

import sqlite3
import time

from orcastra_core.model.delivery import Want
from orcastra_core.model.envelope import Envelope
from orcastra_core.model.ids import IdFactory
from orcastra_core.model.names import QueueName, TaskName
from orcastra_core.model.result import Outcome, Result
from orcastra_core.model.settlement import Complete
from orcastra_core.plugins import load_broker
from orcastra_core.serialization.event_codec import EventWriter

BATCH = 200
BULK = 1000


async def nothing(url: str, tasks: int) -> dict[str, float]:
    """A store in memory has no store beneath it."""
    return {}


async def raw_store(url: str, tasks: int) -> dict[str, float]:
    """Plain sqlite3, durable: insert, then claim and delete, in batches; rows a second."""
    connection = sqlite3.connect(url.removeprefix("sqlite:///") + ".raw", isolation_level=None)
    connection.executescript(
        "pragma journal_mode=wal; pragma synchronous=full;"
        "create table ready(seq integer primary key, id text, body blob);"
        "create table running(seq integer primary key, id text, body blob)"
    )
    body = b"x" * 80
    start = time.perf_counter()
    for first in range(0, tasks, BULK):
        rows = [(f"{n:036}", body) for n in range(first, min(tasks, first + BULK))]
        connection.execute("begin immediate")
        connection.executemany("insert into ready(id, body) values(?, ?)", rows)
        connection.execute("commit")
    inserted = tasks / (time.perf_counter() - start)
    start = time.perf_counter()
    taken = 0
    while taken < tasks:
        connection.execute("begin immediate")
        rows = connection.execute(
            "delete from ready where seq in (select seq from ready order by seq limit ?) returning seq, id, body",
            (BATCH,),
        ).fetchall()
        connection.executemany("insert into running values(?, ?, ?)", rows)
        connection.execute("commit")
        connection.execute("begin immediate")
        connection.executemany("delete from running where seq = ?", [(row[0],) for row in rows])
        connection.execute("commit")
        taken += len(rows)
    drained = tasks / (time.perf_counter() - start)
    connection.close()
    return {"ceiling: sqlite3 inserts /s": inserted, "ceiling: sqlite3 claim + delete /s": drained}


async def broker_alone(url: str, tasks: int) -> dict[str, float]:
    """The broker without the runtime: publish, then fetch and settle with result and event; envelopes a second."""
    broker = load_broker(url)
    await broker.open()
    new_id, queue, task = IdFactory(), QueueName("default"), TaskName("noop")
    envelopes = [Envelope(new_id(), queue, task, b"\x82\x81\x01\xa0") for _ in range(tasks)]
    writer = EventWriter(None)
    start = time.perf_counter()
    for first in range(0, tasks, BULK):
        batch = envelopes[first : first + BULK]
        await broker.publish(batch, events=[writer.submitted(e.id, 0.0, e.queue, e.task) for e in batch])
    published = tasks / (time.perf_counter() - start)
    session = await broker.open_session([queue], lease=30.0)
    writer = EventWriter(session.id)
    want = Want(BATCH, [(queue, BATCH)])
    start = time.perf_counter()
    settled = number = 0
    while settled < tasks:
        deliveries = await session.fetch(want, wait=1.0)
        number += 1
        await session.settle(
            [
                Complete(
                    d, Result(d.envelope.id, Outcome.COMPLETED, b"\xf6"), (), writer.completed(d.envelope.id, 0.0, 0)
                )
                for d in deliveries
            ],
            number=number,
        )
        settled += len(deliveries)
    drained = tasks / (time.perf_counter() - start)
    await session.leave()
    await broker.close()
    return {"ceiling: the broker alone, publish /s": published, "ceiling: the broker alone, fetch + settle /s": drained}
