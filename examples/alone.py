"""Client and worker in one program: python alone.py"""

import asyncio

from orcastra_core import Orcastra

app = Orcastra("memory://")


@app.task
def square(n: int) -> int:
    """A plain function: it runs in a thread."""
    return n * n


async def main() -> None:
    async with app, asyncio.TaskGroup() as group:
        worker = app.worker(concurrency=10)
        group.create_task(worker.run())
        handles = [await square.submit(n) for n in range(10)]
        print(sum([await handle for handle in handles]))
        worker.stop()


if __name__ == "__main__":
    asyncio.run(main())
