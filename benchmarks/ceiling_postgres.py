"""What PostgreSQL could do without a broker: the same bytes through the raw client and three statements."""

from __future__ import annotations

import time
import uuid

import asyncpg

from benchmarks.ceiling import BATCH, BULK
from orcastra_core.model.broker_url import BrokerUrl

_TABLES = """
create schema "{0}";
create table "{0}".task(id uuid primary key, body bytea not null) with (vacuum_truncate=off);
create table "{0}".ready(seq bigint generated always as identity primary key, id uuid not null) with (vacuum_truncate=off);
create table "{0}".result(id uuid primary key, value bytea not null);
"""
_ADD = """
with t as (insert into "{0}".task(id, body) select * from unnest($1::uuid[], $2::bytea[]) returning id)
insert into "{0}".ready(id) select id from t
"""
_EMPTY = 'truncate "{0}".task, "{0}".ready'
_ONE = 'insert into "{0}".task(id, body) values($1, $2)'
_TAKE = """
with c as (delete from "{0}".ready where ctid = any(array(
  select ctid from "{0}".ready where seq > $2 order by seq limit $1 for update skip locked)) returning seq, id)
select c.seq, c.id, t.body from c join "{0}".task t using (id) order by c.seq
"""
_END = """
with d as (delete from "{0}".task where id = any($1::uuid[]) returning id)
insert into "{0}".result(id, value) select * from unnest($1::uuid[], $2::bytea[])
"""
# a table that is empty when it is analysed, and full when it is read, misleads the planner
_PINNED = {
    "enable_seqscan": "off",
    "enable_hashjoin": "off",
    "enable_mergejoin": "off",
    "plan_cache_mode": "force_generic_plan",
    "jit": "off",
}


async def raw_postgres(url: str, tasks: int) -> dict[str, float]:
    """Put in by unnest, take by SKIP LOCKED, delete and store a result, a statement a batch each, one connection; rows a second."""
    server, schema = url.partition("?")[0], f"raw-{BrokerUrl.parse(url).domain}"
    body, result = b"x" * 180, b"y" * 60
    connection = await asyncpg.connect(server, server_settings=_PINNED)
    try:
        await connection.execute(_TABLES.format(schema))
        few = max(1000, tasks // 50)
        one = await connection.prepare(_ONE.format(schema))
        start = time.perf_counter()
        for _ in range(few):
            await one.fetch(uuid.uuid4(), body)
        figures = {"ceiling: INSERT of one row, one by one /s": few / (time.perf_counter() - start)}
        await connection.execute(_EMPTY.format(schema))
        for size in (BATCH, BULK):
            ids = [uuid.uuid4() for _ in range(tasks)]
            add = await connection.prepare(_ADD.format(schema))
            start = time.perf_counter()
            for first in range(0, tasks, size):
                batch = ids[first : first + size]
                await add.fetch(batch, [body] * len(batch))
            figures[f"ceiling: unnest into two tables, batches of {size} /s"] = tasks / (time.perf_counter() - start)
            if size == BATCH:
                await connection.execute(_EMPTY.format(schema))
        take = await connection.prepare(_TAKE.format(schema))
        end = await connection.prepare(_END.format(schema))
        mark = 0
        start = time.perf_counter()
        while rows := await take.fetch(BATCH, mark):
            mark = rows[-1]["seq"]
            await end.fetch([row["id"] for row in rows], [result] * len(rows))
        figures[f"ceiling: SKIP LOCKED, delete, result, batches of {BATCH} /s"] = tasks / (time.perf_counter() - start)
        await connection.execute(f'drop schema "{schema}" cascade')
    finally:
        await connection.close()
    return figures
