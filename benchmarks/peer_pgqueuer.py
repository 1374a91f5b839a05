"""What pgqueuer does with PostgreSQL. Run by ``peer.py``, with a Python that has it."""

from __future__ import annotations

import time
from typing import Any

_BULK = 1000
_BATCH = 100


async def measure(url: str, tasks: int) -> dict[str, float]:
    """Enqueue in bulk and one by one, and drain; tasks a second."""
    import asyncpg
    from pgqueuer import PgQueuer  # type: ignore[import-not-found,unused-ignore]
    from pgqueuer.types import QueueExecutionMode  # type: ignore[import-not-found,unused-ignore]

    async with asyncpg.create_pool(url, min_size=2, max_size=10) as pool:
        queuer = PgQueuer.from_asyncpg_pool(pool)
        await queuer.queries.install()
        done = 0

        @queuer.entrypoint("noop")  # type: ignore[untyped-decorator,unused-ignore]
        async def noop(job: Any) -> None:
            nonlocal done
            done += 1

        try:
            few = max(500, tasks // 50)
            start = time.perf_counter()
            for _ in range(few):
                await queuer.queries.enqueue("noop", b"x" * 180)
            one_by_one = few / (time.perf_counter() - start)
            start = time.perf_counter()
            for first in range(few, tasks, _BULK):
                number = min(_BULK, tasks - first)
                await queuer.queries.enqueue(["noop"] * number, [b"x" * 180] * number, [0] * number)
            bulk = (tasks - few) / (time.perf_counter() - start)
            start = time.perf_counter()
            await queuer.run(mode=QueueExecutionMode.drain, batch_size=_BATCH)
            drained = done / (time.perf_counter() - start)
            if done != tasks:
                raise SystemExit(f"pgqueuer ran {done} of {tasks} tasks")
        finally:
            await queuer.queries.uninstall()
    return {
        "peer: pgqueuer, one by one /s": one_by_one,
        "peer: pgqueuer, in bulk /s": bulk,
        f"peer: pgqueuer, drained, batch_size {_BATCH}, pool /s": drained,
    }
