"""pgqueuer on the same server, in the same rounds: what another queue in Python does with PostgreSQL.

It is no dependency of ours. Where ``PGQUEUER_PYTHON`` names a Python that has it, that one is measured in a process of its own.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from contextlib import suppress
from typing import Any

VARIABLE = "PGQUEUER_PYTHON"
_BULK = 1000
_BATCH = 100
_DRAIN = f"peer: pgqueuer, drained, batch_size {_BATCH}, pool /s"


async def pgqueuer(url: str, tasks: int) -> dict[str, float]:
    """Enqueue in bulk and one by one, and drain, through pgqueuer; tasks a second."""
    python = os.environ.get(VARIABLE)
    if not python:
        return {}
    command = [python, __file__, url.partition("?")[0], str(tasks)]
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    told, _ = await process.communicate()
    if process.returncode:
        raise SystemExit(f"{' '.join(command)} failed")
    figures: dict[str, float] = json.loads(told)
    return figures


async def _measure(url: str, tasks: int) -> dict[str, float]:
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
    return {"peer: pgqueuer, one by one /s": one_by_one, "peer: pgqueuer, in bulk /s": bulk, _DRAIN: drained}


def _main() -> None:
    with suppress(ImportError):
        import uvloop

        asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())
    print(json.dumps(asyncio.run(_measure(sys.argv[1], int(sys.argv[2])))))


if __name__ == "__main__":
    _main()
