"""What users feel: submits, drains, and the way from submit to start."""

from __future__ import annotations

import asyncio
import time
from statistics import quantiles

from orcastra_core import Orcastra, Until


def make_app(url: str, *, traces: bool = True) -> Orcastra:
    """Return an app with three tasks that do nothing, or hardly anything; ``traces``: with results and events."""
    app = Orcastra(url, events=traces, results=traces)

    @app.task(name="noop")
    async def noop(n: int) -> None:
        return None

    @app.task(name="timed", timeout=30)
    async def timed(n: int) -> None:
        return None

    @app.task(name="stamp")
    async def stamp() -> float:
        return time.perf_counter()

    return app


async def submits(url: str, tasks: int) -> dict[str, float]:
    """Submit one by one, from 100 coroutines, and in bulk; tasks a second."""
    app = make_app(url)
    noop = app.orca("noop")
    async with app:
        few = max(1000, tasks // 10)
        start = time.perf_counter()
        for n in range(few):
            await noop.submit(n)
        one_by_one = few / (time.perf_counter() - start)

        async def submitter(numbers: range) -> None:
            for n in numbers:
                await noop.submit(n)

        share = few // 50
        start = time.perf_counter()
        async with asyncio.TaskGroup() as group:
            for _ in range(100):
                group.create_task(submitter(range(share)))
        concurrent = 100 * share / (time.perf_counter() - start)
        start = time.perf_counter()
        outcomes = await app.submit_many(noop.call(n) for n in range(tasks))
        bulk = tasks / (time.perf_counter() - start)
        if not all(outcome.ok for outcome in outcomes):
            raise SystemExit("a submit was refused")
    return {"submit one by one /s": one_by_one, "submit from 100 coroutines /s": concurrent, "submit_many /s": bulk}


async def drains(url: str, tasks: int, *, concurrency: int = 200) -> dict[str, float]:
    """Let one worker run what is there: plain tasks, with a timeout on each, without results and events; tasks a second."""
    worker = "drained by 1 worker" if concurrency == 200 else f"drained by 1 worker, concurrency {concurrency}"
    return {
        f"{worker} /s": await _drain(f"{url}-plain", tasks, "noop", concurrency),
        f"{worker}, with a task timeout /s": await _drain(f"{url}-timed", tasks, "timed", concurrency),
        f"{worker}, no results, no events /s": await _drain(f"{url}-lean", tasks, "noop", concurrency, traces=False),
    }


async def _drain(url: str, tasks: int, name: str, concurrency: int, *, traces: bool = True) -> float:
    submitting, app = make_app(url, traces=traces), make_app(url, traces=traces)
    async with app:
        # as in production: who submits is not who works, so nobody here waits for the results
        async with submitting:
            await submitting.submit_many(submitting.orca(name).call(n) for n in range(tasks))
        worker = app.worker(until=Until.EMPTY, concurrency=concurrency)
        start = time.perf_counter()
        stats = await worker.run()
        seconds = time.perf_counter() - start
        if stats.completed != tasks:
            raise SystemExit(f"{stats.completed} of {tasks} tasks completed")
    return tasks / seconds


async def latency(url: str, tasks: int) -> dict[str, float]:
    """Submit to an idle worker in the same loop; milliseconds until the task starts, and until its value is here."""
    app = make_app(url)
    stamp = app.orca("stamp")
    started: list[float] = []
    answered: list[float] = []
    async with app, asyncio.TaskGroup() as group:
        worker = app.worker()
        working = group.create_task(worker.run())
        await (await stamp.submit())
        for _ in range(500):
            submitted = time.perf_counter()
            handle = await stamp.submit()
            began = await handle
            answered.append((time.perf_counter() - submitted) * 1000)
            started.append((began - submitted) * 1000)
        worker.stop()
        await working
    start, answer = quantiles(started, n=100), quantiles(answered, n=100)
    return {
        "submit to start, p50 ms": start[49],
        "submit to start, p99 ms": start[98],
        "submit to value, p50 ms": answer[49],
        "submit to value, p99 ms": answer[98],
    }
