"""The examples run as their README says."""

from __future__ import annotations

import asyncio
import shutil
import sys
from asyncio.subprocess import DEVNULL, PIPE, STDOUT
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

Start = Callable[..., Awaitable[Any]]

EXAMPLES = Path(__file__).parents[3] / "examples"

if not EXAMPLES.is_dir():
    pytest.skip("the examples are not beside these tests", allow_module_level=True)


@pytest.fixture
def here(place: Any) -> Any:
    for example in EXAMPLES.glob("*.py"):
        shutil.copy(example, place.path)
    return place


async def run(place: Any, *command: str) -> list[str]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, *command, cwd=place.path, env=place.env, stdin=DEVNULL, stdout=PIPE, stderr=STDOUT
    )
    out, _ = await process.communicate()
    assert process.returncode == 0, out.decode()
    return out.decode().splitlines()


async def test_greet(here: Any, start: Start) -> None:
    worker = await start("worker", "greet:app")
    await worker.line("started")
    assert await run(here, "-c", "import asyncio, greet; asyncio.run(greet.main())") == [
        f"Hello {name}, {age} is a fine age" for name, age in [("Alice", 25), ("Bob", 31), ("Carol", 47), ("Dan", 62)]
    ]


async def test_shop(here: Any, start: Start) -> None:
    workers = await start("worker", "shop:app", "-p", "2")
    await workers.line("INFO worker", count=2)
    said = await run(here, "-c", "import asyncio, shop; asyncio.run(shop.main())")
    assert "order 0 is worth nothing" in said[0]
    assert said[1:6] == [f"Receipt(number={n}, attempts={attempts})" for n, attempts in enumerate([1, 1, 2, 1, 3], 1)]
    assert "the second submit was a duplicate" in said[6]
    assert said[7] == "reported later 5"


async def test_alone(here: Any) -> None:
    assert await run(here, "alone.py") == ["285"]
