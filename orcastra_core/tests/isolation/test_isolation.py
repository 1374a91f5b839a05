"""A task with a process of its own takes nothing down with it."""

from __future__ import annotations

import asyncio
import importlib
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from types import ModuleType

import pytest
import pytest_asyncio

from orcastra_core.model.errors import TaskFailed, TaskTimeout


@pytest_asyncio.fixture
async def tasks(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[ModuleType]:
    # by its plain name, as a user's module is imported: the child finds it by that
    folder = str(Path(__file__).parent)
    monkeypatch.syspath_prepend(folder)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([folder, os.environ.get("PYTHONPATH", "")]))
    module = importlib.import_module("isolated_tasks")
    try:
        async with module.app, asyncio.TaskGroup() as group:
            worker = module.app.worker()
            group.create_task(worker.run())
            yield module
            worker.stop()
    finally:
        del sys.modules["isolated_tasks"]


async def test_runs_elsewhere_and_returns_here(tasks: ModuleType) -> None:
    handles = [await tasks.pid.submit(), await tasks.pid.submit(), await tasks.later_pid.submit()]
    pids = {await handle for handle in handles}
    assert len(pids) == 3
    assert os.getpid() not in pids


async def test_a_segfault_fails_that_attempt_only(tasks: ModuleType) -> None:
    doomed = await tasks.segfault.submit()
    innocent = await tasks.here.submit()
    assert await innocent == os.getpid()
    result = await doomed.wait(10)
    assert isinstance(result.error, TaskFailed)
    assert "SIGSEGV" in result.error.error.message


async def test_a_hang_ends_with_its_timeout(tasks: ModuleType) -> None:
    result = await (await tasks.hang.submit()).wait(10)
    assert isinstance(result.error, TaskTimeout)


async def test_errors_keep_type_message_and_traceback(tasks: ModuleType) -> None:
    result = await (await tasks.refuse.submit("because")).wait(10)
    assert isinstance(result.error, TaskFailed)
    assert result.error.error.type == "ValueError"
    assert result.error.error.message == "because"
    assert "in refuse" in result.error.error.traceback


async def test_steering_and_deaths_lead_to_the_next_attempt(tasks: ModuleType, tmp_path: Path) -> None:
    assert await (await tasks.third_time.submit(str(tmp_path / "tries"))) == 3
    result = await (await tasks.give_up.submit()).wait(10)
    assert isinstance(result.error, TaskFailed)
    assert result.error.error.message == "no use"
