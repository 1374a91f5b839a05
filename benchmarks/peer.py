"""Other task queues on the same server, in the same rounds, each in a process of its own.

They are no dependencies of ours: each is measured by the Python that its variable names, if there is one.
"""

from __future__ import annotations

import asyncio
import importlib
import json
import os
import sys
from contextlib import suppress
from urllib.parse import urlsplit


async def pgqueuer(url: str, tasks: int) -> dict[str, float]:
    """Measure pgqueuer with the Python that PGQUEUER_PYTHON names."""
    return await _measured("PGQUEUER_PYTHON", "peer_pgqueuer", url.partition("?")[0], tasks)


async def faststream(url: str, tasks: int) -> dict[str, float]:
    """Measure faststream with the Python that FASTSTREAM_PYTHON names."""
    return await _measured("FASTSTREAM_PYTHON", "peer_faststream", urlsplit(url).netloc, tasks)


async def _measured(variable: str, module: str, server: str, tasks: int) -> dict[str, float]:
    python = os.environ.get(variable)
    if not python:
        return {}
    command = [python, __file__, module, server, str(tasks)]
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    told, _ = await process.communicate()
    if process.returncode:
        raise SystemExit(f"{' '.join(command)} failed")
    figures: dict[str, float] = json.loads(told)
    return figures


def _main() -> None:
    with suppress(ImportError):
        import uvloop

        asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())
    _, module, server, tasks = sys.argv
    print(json.dumps(asyncio.run(importlib.import_module(module).measure(server, int(tasks)))))


if __name__ == "__main__":
    _main()
