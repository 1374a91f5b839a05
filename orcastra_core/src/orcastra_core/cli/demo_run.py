"""One run of ``orcastra demo``: submit, work in processes, collect, count."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress

import attrs

from orcastra_core.app.handle import Handle
from orcastra_core.app.orcastra import Orcastra
from orcastra_core.cli.demo_files import SourceFile
from orcastra_core.cli.demo_tasks import QUEUE, FileReport, parse_file
from orcastra_core.interfaces.events import EventLog
from orcastra_core.model.errors import OrcastraError, ResultError
from orcastra_core.model.event import EventKind
from orcastra_core.model.ids import TaskId
from orcastra_core.model.names import queue_name
from orcastra_core.model.profile import Cap
from orcastra_core.runtime.shepherd import Shepherd
from orcastra_core.runtime.worker import Worker

_SLICE = 500
_STALL = 60.0
"""Seconds without any result after which what is missing is given up as lost."""

Progress = Callable[[str, int, int], None]


@attrs.define
class Run:
    """What happened.

    Attributes:
        submitted: The ids of all tasks that were stored.
        refused: Why files were not submitted.
        reports: What came back.
        failed: Errors of tasks that ended without a value.
        submit_seconds: From the first submit to the last confirmation.
        run_seconds: From the first worker that was ready to the last result.
        recoveries: Times a delivery was taken from a dead worker and handed out again.
        twice: Tasks that the event log says were completed more than once; None where there is no log.
        killed: Worker processes that we killed.
        interrupted: Whether Ctrl-C ended it.
    """

    submitted: list[TaskId] = attrs.Factory(list)
    refused: list[str] = attrs.Factory(list)
    reports: dict[TaskId, FileReport] = attrs.Factory(dict)
    failed: dict[TaskId, str] = attrs.Factory(dict)
    submit_seconds: float = 0.0
    run_seconds: float = 0.0
    recoveries: int = 0
    twice: int | None = None
    killed: list[int] = attrs.Factory(list)
    interrupted: bool = False

    @property
    def ended(self) -> int:
        """Tasks whose end we were told."""
        return len(self.reports) + len(self.failed)

    @property
    def lost(self) -> int:
        """Tasks that were stored and whose end nobody told us."""
        return len(set(self.submitted) - self.reports.keys() - self.failed.keys())


class DemoRun:
    """Drives one run in an opened app.

    Args:
        app: Opened.
        workers: What works: a shepherd, or a worker in this process.
        progress: Told what is done, how much of how much.
        chaos: Whether to kill a worker process at a third and at two thirds.
    """

    def __init__(self, app: Orcastra, workers: Shepherd | Worker, progress: Progress, *, chaos: bool = False) -> None:
        self.run = Run()
        self._app = app
        self._workers = workers
        self._progress = progress
        self._chaos = chaos
        self._news = asyncio.Event()
        self._stop = asyncio.Event()

    def interrupt(self) -> None:
        """Stop as soon as what runs has ended; a second call hurries."""
        self.run.interrupted = True
        self._stop.set()
        self._news.set()
        self._workers.stop()

    async def execute(self, files: Sequence[SourceFile]) -> Run:
        """Do it all.

        Raises:
            OrcastraError: The workers could not start.
        """
        handles = await self._submit(files)
        async with asyncio.TaskGroup() as group:
            working = group.create_task(self._work())
            collecting = [group.create_task(self._collect(handle)) for handle in handles]
            ready = group.create_task(self._ready())
            try:
                await asyncio.wait([ready, working], return_when=asyncio.FIRST_COMPLETED)
                await self._until_done(len(handles), working)
            finally:
                for task in (ready, *collecting):
                    task.cancel()
                if not self._stop.is_set():
                    self._workers.stop()
        self.run.recoveries = self._workers.stats.recovered + getattr(self._workers, "recovered", 0)
        if self._app.profile.offers(Cap.EVENTS) and self._app.broker.events is not None:
            await self._audit(self._app.broker.events)
        if self.run.lost and self._app.profile.offers(Cap.PURGE):
            await self._app.broker.purge(queue_name(QUEUE))
        return self.run

    async def _submit(self, files: Sequence[SourceFile]) -> list[Handle[FileReport]]:
        handles = []
        began = time.perf_counter()
        for start in range(0, len(files), _SLICE):
            if self._stop.is_set():
                break
            batch = files[start : start + _SLICE]
            for submission in await self._app.submit_many(parse_file.call(file.package, file.path) for file in batch):
                if submission.error is None:
                    handles.append(submission.handle)
                else:
                    self.run.refused.append(str(submission.error))
            self._progress("submitted", start + len(batch), len(files))
        self.run.submit_seconds = time.perf_counter() - began
        self.run.submitted = [handle.id for handle in handles]
        return handles

    async def _work(self) -> None:
        try:
            if await self._workers.run() == 1 and not self.run.reports:
                raise OrcastraError("the worker processes could not start")
        finally:
            self._news.set()

    async def _ready(self) -> None:
        if isinstance(self._workers, Shepherd):
            await self._workers.proven.wait()

    async def _collect(self, handle: Handle[FileReport]) -> None:
        try:
            result = await handle.wait()
            self.run.reports[handle.id] = result.value
        except ResultError as error:
            self.run.failed[handle.id] = str(error).split("\n", 1)[0]
        self._news.set()

    async def _until_done(self, wanted: int, working: asyncio.Task[None]) -> None:
        began = time.perf_counter()
        while self.run.ended < wanted and not self._stop.is_set() and not working.done():
            self._news.clear()
            try:
                async with asyncio.timeout(_STALL):
                    await self._news.wait()
            except TimeoutError:
                break
            self.run.run_seconds = time.perf_counter() - began
            self._progress("parsed", self.run.ended, wanted)
            if self._chaos:
                self._kill_one(wanted)

    def _kill_one(self, wanted: int) -> None:
        if not isinstance(self._workers, Shepherd) or len(self.run.killed) > 1:
            return
        pids = self._workers.pids
        if pids and self.run.ended >= wanted * (len(self.run.killed) + 1) // 3:
            with suppress(ProcessLookupError):
                os.kill(pids[0], signal.SIGKILL)
                self.run.killed.append(pids[0])

    async def _audit(self, log: EventLog) -> None:
        ours = set(self.run.submitted)
        completed: Counter[TaskId] = Counter()
        lost = 0
        after = None
        while entries := await log.read(after=after, limit=1000):
            after = entries[-1].cursor
            for event in (entry.event for entry in entries):
                if event.task_id in ours and event.task_id is not None:
                    completed[event.task_id] += event.kind is EventKind.COMPLETED
                    lost += event.kind is EventKind.LOST
        self.run.recoveries = max(lost, self.run.recoveries)
        self.run.twice = sum(count > 1 for count in completed.values())
